import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatSize, parseSize } from '../../src/base/size.ts';
import { CodedError } from '../../src/errors.ts';

test('parseSize() reads binary and decimal units in any case', () => {
  const cases: [string, number][] = [
    ['0', 0],
    ['1048576', 1_048_576],
    ['10B', 10],
    ['64KiB', 65_536],
    ['1 GiB', 2 ** 30],
    ['1.5GB', 1.5e9],
    ['2tib', 2 * 2 ** 40],
    ['3MB', 3e6],
  ];
  for (const [text, bytes] of cases) assert.equal(parseSize(text), bytes, text);
});

test('parseSize() refuses everything else', () => {
  for (const text of [
    '',
    '-1',
    '1 apple',
    'KiB',
    '1K',
    '1.KiB',
    '1e3',
    '0x10',
    '9'.repeat(20),
    '1GiBs',
    'constructor',
  ]) {
    assert.throws(
      () => parseSize(text),
      (error) => error instanceof CodedError && error.code === 'bad_request',
      text,
    );
  }
});

test('formatSize() has at most four digits before the unit', () => {
  const cases: [number, string][] = [
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [12_897_484, '12.3 MiB'],
    [1024 * 1024 - 1, '1.0 MiB'],
    [2 ** 50, '1.0 PiB'],
  ];
  for (const [bytes, text] of cases) assert.equal(formatSize(bytes), text);
  fc.assert(
    fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (bytes) => {
      assert.match(formatSize(bytes), /^(?:\d{1,4} B|\d{1,4}\.\d [KMGTP]iB)$/);
    }),
  );
});

test('formatSize() writes what parseSize() reads, within its precision', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 49 }), (bytes) => {
      const again = parseSize(formatSize(bytes));
      assert.ok(Math.abs(again - bytes) <= bytes * 0.051);
    }),
  );
});
