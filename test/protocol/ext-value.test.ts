import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeExtValue,
  decodeRawUtf8,
  encodeExtValue,
  isPlainHeaderValue,
} from '../../src/protocol/ext-value.ts';

const text = fc.string({ unit: 'binary' });

test('decodeExtValue() reads what encodeExtValue() writes, which is plain ASCII', () => {
  fc.assert(
    fc.property(text, (value) => {
      const encoded = encodeExtValue(value);
      assert.ok(isPlainHeaderValue(encoded));
      assert.equal(decodeExtValue(encoded), value);
    }),
  );
});

test('decodeExtValue() takes any case and a language, and nothing else', () => {
  assert.equal(decodeExtValue("utf-8'de-CH'%C3%BC"), 'ü');
  const bad = [
    '',
    'a',
    "UTF-8'a",
    "ISO-8859-1''a",
    "UTF-8''%",
    "UTF-8''%4",
    "UTF-8''%GG",
    "UTF-8''%C3",
    "UTF-8''%ED%A0%80",
    "UTF-8''a b",
    "UTF-8''ü",
    "UTF-8''a'b",
  ];
  for (const value of bad) assert.equal(decodeExtValue(value), undefined, value);
});

test('decodeRawUtf8() reads the bytes that Node gives as latin1', () => {
  fc.assert(
    fc.property(text, (value) => {
      assert.equal(decodeRawUtf8(Buffer.from(value, 'utf8').toString('latin1')), value);
    }),
  );
});

test('decodeRawUtf8() refuses bytes that are no UTF-8', () => {
  for (const bytes of [[0xff], [0xc3], [0x61, 0x80], [0xed, 0xa0, 0x80], [0xc0, 0xaf]]) {
    assert.equal(decodeRawUtf8(Buffer.from(bytes).toString('latin1')), undefined);
  }
});

test('isPlainHeaderValue() refuses what a header would change', () => {
  for (const value of ['a', '/a b/c', '~']) assert.equal(isPlainHeaderValue(value), true);
  for (const value of ['', ' a', 'a ', 'a\n', 'a\tb', 'ü', '\u007f'])
    assert.equal(isPlainHeaderValue(value), false);
});
