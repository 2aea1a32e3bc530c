import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeJobId, encodeJobId, nextSequence } from '../../src/protocol/job-id.ts';

const sequence = fc.nat({ max: Number.MAX_SAFE_INTEGER });

test('decodeJobId() reads what encodeJobId() writes', () => {
  fc.assert(fc.property(sequence, (number) => assert.equal(decodeJobId(encodeJobId(number)), number)));
});

test('encodeJobId() sorts as its sequence does', () => {
  fc.assert(
    fc.property(sequence, sequence, (a, b) => {
      assert.equal(encodeJobId(a) < encodeJobId(b), a < b);
    }),
  );
});

test('decodeJobId() refuses what is no id', () => {
  const id = encodeJobId(1_700_000_000_000_000);
  for (const text of [
    '',
    id.slice(1),
    `${id}0`,
    id.toUpperCase(),
    `${id.slice(1)}i`,
    `${id.slice(1)}u`,
    `${id}\n`,
    'z'.repeat(11),
  ]) {
    assert.equal(decodeJobId(text), undefined, text);
  }
});

test('nextSequence() only grows, whatever the clock does', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 2e12, noNaN: true })), (clock) => {
      let last = 0;
      for (const nowMs of clock) {
        const next = nextSequence(last, nowMs);
        assert.ok(Number.isSafeInteger(next) && next > last);
        last = next;
      }
    }),
  );
});
