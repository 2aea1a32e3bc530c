import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeLive, encodeLive } from '../../src/spool/live-entry.ts';

test('decodeLive() gives back what encodeLive() was given', () => {
  const entry = fc.record(
    {
      notBeforeMs: fc.nat(2 ** 31),
      payloadFile: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
      lane: fc.string({ unit: 'grapheme' }),
    },
    { noNullPrototype: true },
  );
  fc.assert(fc.property(entry, (one) => assert.deepEqual(decodeLive(encodeLive(one)), one)));
});
