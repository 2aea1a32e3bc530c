import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeNumber, encodeNumbers } from '../../src/spool/number-codec.ts';

test('decodeNumber() gives back what encodeNumbers() was given', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true })), (values) => {
      const bytes = encodeNumbers(...values);
      assert.deepEqual(
        values.map((_, index) => decodeNumber(bytes, index)),
        values,
      );
    }),
  );
});
