import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { backOffDelayMs } from '../../src/base/back-off.ts';

const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test('backOffDelayMs() doubles from the minimum and keeps its jitter in the upper half', () => {
  const delays = { minDelayMs: 1000, maxDelayMs: 300_000 };
  const least = [1, 2, 3, 9, 10].map((attempt) => backOffDelayMs(attempt, delays, () => 0));
  assert.deepEqual(least, [500, 1000, 2000, 128_000, 150_000]);
  assert.equal(
    backOffDelayMs(1, delays, () => 0.9999999),
    1000,
  );
});

test('backOffDelayMs() stays within half the ceiling and the ceiling for any attempt', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 31 - 1 }), fc.nat(), fc.nat(), fraction, (attempt, min, more, random) => {
      const maxDelayMs = min + more;
      const delayMs = backOffDelayMs(attempt, { minDelayMs: min, maxDelayMs }, () => random);
      assert.ok(Number.isSafeInteger(delayMs));
      assert.ok(delayMs >= Math.floor(min / 2) && delayMs <= maxDelayMs);
    }),
  );
});

test('backOffDelayMs() never shrinks from one attempt to the next with the same luck', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), fraction, (attempt, random) => {
      const delay = (number: number): number =>
        backOffDelayMs(number, { minDelayMs: 10, maxDelayMs: 1e6 }, () => random);
      assert.ok(delay(attempt + 1) >= delay(attempt));
    }),
  );
});
