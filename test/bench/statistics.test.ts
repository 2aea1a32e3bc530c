import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { median, meets, ratiosByRun, summarize } from './statistics.ts';

test('median() takes the middle, or the mean of the two middles', () => {
  assert.equal(median([3]), 3);
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([10, 1, 2, 100]), 6);
  assert.throws(() => median([]), RangeError);
});

test('median() has as many values below it as above it, whatever their order', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -1e6, max: 1e6 }), { minLength: 1, maxLength: 40 }), (values) => {
      const middle = median(values);
      const below = values.filter((value) => value < middle).length;
      const above = values.filter((value) => value > middle).length;
      assert.ok(below <= values.length / 2 && above <= values.length / 2);
      assert.equal(median(values.toReversed()), middle);
    }),
  );
});

test('summarize() gives median, min and max', () => {
  assert.deepEqual(summarize([4, 2, 9]), { median: 4, min: 2, max: 9 });
});

test('ratiosByRun() pairs values of the same run and leaves unpaired runs out', () => {
  assert.deepEqual(ratiosByRun([10, 30, 50], [5, 10]), [2, 3]);
  assert.deepEqual(ratiosByRun([], [5]), []);
});

test('meets() includes the bound itself', () => {
  assert.equal(meets(1.2, { is: '>=', value: 1.2 }), true);
  assert.equal(meets(1.19, { is: '>=', value: 1.2 }), false);
  assert.equal(meets(120, { is: '<=', value: 120 }), true);
  assert.equal(meets(121, { is: '<=', value: 120 }), false);
});
