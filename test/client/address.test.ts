import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultAddress, formatAddress, parseAddress } from '../../src/client/address.ts';

test('parseAddress() reads sockets and origins, and formatAddress() writes them', () => {
  for (const text of [
    'unix:/run/x.sock',
    'unix:relative',
    'http://127.0.0.1:8080',
    'https://host',
    'http://[::1]:1',
  ]) {
    assert.equal(formatAddress(parseAddress(text)), text);
  }
  assert.deepEqual(parseAddress('unix:///run/x'), { kind: 'unix', socketPath: '/run/x' });
  assert.deepEqual(parseAddress('HTTP://Host:80/'), { kind: 'tcp', origin: 'http://host' });
});

test('parseAddress() refuses what is no address', () => {
  for (const text of [
    '',
    'unix:',
    '/run/x',
    'host:80',
    'ftp://h',
    'http://h/path',
    'http://u@h',
    'http://',
    'http://h?q',
  ]) {
    assert.throws(() => parseAddress(text), { code: 'usage', message: /expected unix:PATH/ }, text);
  }
});

test('defaultAddress() is the socket of the system for root, and where there is no runtime directory', () => {
  const system = { kind: 'unix', socketPath: '/run/incus-upload/uploadd.sock' };
  assert.deepEqual(defaultAddress({ XDG_RUNTIME_DIR: '/run/user/1' }, 0), system);
  assert.deepEqual(defaultAddress({}, 1000), system);
});

test("defaultAddress() is the user's own socket when the system's is not there", {
  skip: hasDaemon(),
}, () => {
  assert.deepEqual(defaultAddress({ XDG_RUNTIME_DIR: '/run/user/1' }, 1000), {
    kind: 'unix',
    socketPath: '/run/user/1/incus-upload/uploadd.sock',
  });
});

function hasDaemon(): string | false {
  const { kind } = defaultAddress({ XDG_RUNTIME_DIR: '/nonexistent' }, 1000);
  const address = defaultAddress({ XDG_RUNTIME_DIR: '/nonexistent' }, 1000);
  return (
    kind === 'unix' && !formatAddress(address).includes('nonexistent') && 'a daemon of the system runs here'
  );
}
