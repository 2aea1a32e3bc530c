import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatListenAddress,
  isLoopback,
  type ListenAddress,
  parseListenAddress,
} from '../../src/daemon/listen-address.ts';
import { CodedError } from '../../src/errors.ts';

const address: fc.Arbitrary<ListenAddress> = fc.oneof(
  fc.record(
    {
      kind: fc.constant('unix' as const),
      path: fc.stringMatching(/^\/[a-z][a-z0-9 .:_-]{0,20}$/),
    },
    { noNullPrototype: true },
  ),
  fc.record(
    {
      kind: fc.constantFrom('http' as const, 'https' as const),
      host: fc.oneof(fc.ipV4(), fc.ipV6(), fc.stringMatching(/^[a-z][a-z0-9-]{0,8}(\.[a-z]{1,4})?$/)),
      port: fc.integer({ min: 0, max: 65535 }),
    },
    { noNullPrototype: true },
  ),
);

test('parseListenAddress() reads what formatListenAddress() writes', () => {
  fc.assert(
    fc.property(address, (value) => assert.deepEqual(parseListenAddress(formatListenAddress(value)), value)),
  );
});

test('parseListenAddress() refuses what is no address', () => {
  const bad = [
    '',
    'x',
    'unix:',
    'unix:relative',
    'unix:/dir/',
    'unix:/a\0b',
    `unix:/${'x'.repeat(107)}`,
    'http://',
    'http://h',
    'http://h:',
    'http://h:65536',
    'http://h:-1',
    'http://u@h:1',
    'http://h:1/path',
    'http://[::1:1',
    'http://[1.2.3.4]:1',
    'ftp://h:1',
  ];
  for (const text of bad) {
    assert.throws(
      () => parseListenAddress(text),
      (error) => error instanceof CodedError && error.code === 'config_invalid',
      text,
    );
  }
});

test('isLoopback() is true only for what cannot be reached from outside', () => {
  for (const text of [
    'unix:/x',
    'http://127.0.0.1:1',
    'http://127.9.9.9:1',
    'http://[::1]:1',
    'https://LocalHost:1',
  ]) {
    assert.equal(isLoopback(parseListenAddress(text)), true, text);
  }
  for (const text of [
    'http://0.0.0.0:1',
    'http://[::]:1',
    'http://127.evil.example:1',
    'http://10.0.0.1:1',
  ]) {
    assert.equal(isLoopback(parseListenAddress(text)), false, text);
  }
});
