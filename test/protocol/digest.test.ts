import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeReprDigest, encodeReprDigest } from '../../src/protocol/digest.ts';

const hex = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex'));

test('decodeReprDigest() reads what encodeReprDigest() writes, alone and among others', () => {
  fc.assert(
    fc.property(hex, (digest) => {
      const value = encodeReprDigest(digest);
      assert.equal(decodeReprDigest(value), digest);
      assert.equal(decodeReprDigest(`sha-512=:AAAA:, ${value} , md5=:AA==:`), digest);
    }),
  );
});

test('decodeReprDigest() takes the last of equal members, as RFC 9651 section 3.2 says', () => {
  const [a, b] = ['00', '11'].map((byte) => encodeReprDigest(byte.repeat(32)));
  assert.equal(decodeReprDigest(`${a}, ${b}`), '11'.repeat(32));
});

test('decodeReprDigest() is undefined without a sha-256 and null for a malformed one', () => {
  for (const value of ['sha-512=:AAAA:', 'xsha-256=:AAAA:', 'sha-512=:AAAA:;a=1, md5=::'])
    assert.equal(decodeReprDigest(value), undefined, value);
  const good = encodeReprDigest('00'.repeat(32)).slice('sha-256='.length);
  const malformed = [
    '',
    ':',
    '::',
    ':AAAA:',
    good.slice(1),
    good.slice(0, -1),
    good.replace('=', ''),
    `${good}x`,
    '00'.repeat(32),
  ];
  for (const value of malformed) assert.equal(decodeReprDigest(`sha-256=${value}`), null, value);
});

test('decodeReprDigest() is null for what is no digest at all', () => {
  const good = encodeReprDigest('00'.repeat(32));
  for (const value of ['', 'md5', 'nonsense', '00'.repeat(32), good.toUpperCase(), `${good},`, `x ${good}`])
    assert.equal(decodeReprDigest(value), null, value);
});
