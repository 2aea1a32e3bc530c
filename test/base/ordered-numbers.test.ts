import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OrderedNumbers } from '../../src/base/ordered-numbers.ts';

const value = fc.nat({ max: 60 });
const command = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), value }),
  fc.record({ kind: fc.constant('delete' as const), value }),
);

test('OrderedNumbers is a sorted set', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 300 }), (commands) => {
      const numbers = new OrderedNumbers();
      const model = new Set<number>();
      for (const { kind, value: number } of commands) {
        if (kind === 'add') assert.equal(numbers.add(number), !model.has(number));
        else assert.equal(numbers.delete(number), model.has(number));
        if (kind === 'add') model.add(number);
        else model.delete(number);

        const sorted = [...model].sort((a, b) => a - b);
        assert.equal(numbers.size, sorted.length);
        assert.deepEqual(
          sorted.map((_, i) => numbers.at(i)),
          sorted,
        );
        assert.equal(numbers.first(), sorted[0]);
        assert.equal(numbers.at(sorted.length), undefined);
        assert.equal(numbers.at(-1), undefined);
        assert.equal(numbers.rank(number), sorted.filter((other) => other < number).length);
        assert.equal(numbers.has(number), model.has(number));
        assert.equal(
          numbers.after(number),
          sorted.find((other) => other > number),
        );
        assert.equal(
          numbers.before(number),
          sorted.findLast((other) => other < number),
        );
      }
    }),
  );
});

test('OrderedNumbers goes on after many numbers came and left', () => {
  const numbers = new OrderedNumbers();
  for (let i = 0; i < 10_000; i += 1) numbers.add(i);
  for (let i = 0; i < 10_000; i += 1) {
    assert.equal(numbers.first(), i);
    assert.equal(numbers.delete(i), true);
    numbers.add(10_000 + i);
  }
  assert.equal(numbers.size, 10_000);
  for (let i = 19_999; i >= 10_000; i -= 1) assert.equal(numbers.delete(i), true);
  assert.equal(numbers.size, 0);
  assert.equal(numbers.add(1), true);
  assert.equal(numbers.first(), 1);
});
