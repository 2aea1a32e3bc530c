import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LiveIndex } from '../../src/spool/live-index.ts';

test('LiveIndex does what a plain map of sets does', () => {
  const lane = fc.constantFrom('default/a', 'default/b', 'other/a');
  const step = fc.record({ lane, sequence: fc.integer({ min: 1, max: 30 }), add: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const index = new LiveIndex();
      const model = new Map<string, Set<number>>();
      for (const { lane: name, sequence, add } of steps) {
        const sequences = model.get(name) ?? new Set();
        model.set(name, sequences);
        if (add) {
          index.add(name, sequence);
          sequences.add(sequence);
        } else {
          index.delete(name, sequence);
          sequences.delete(sequence);
        }
        const filled = [...model].filter(([, members]) => members.size > 0);
        assert.deepEqual([...index.lanes()].sort(), filled.map(([key]) => key).sort());
        assert.equal(
          index.size,
          filled.reduce((sum, [, members]) => sum + members.size, 0),
        );
        for (const [key, members] of model) {
          const sorted = [...members].sort((a, b) => a - b);
          for (let n = 1; n <= 30; n += 1) {
            assert.equal(index.ahead(key, n), members.has(n) ? sorted.indexOf(n) : null);
          }
        }
      }
    }),
    { numRuns: 50 },
  );
});

test('LiveIndex.delete() ends that a job is deferred', () => {
  const index = new LiveIndex();
  index.add('default/a', 5);
  index.deferred.add(5);
  index.delete('default/b', 5);
  assert.ok(index.deferred.has(5));
  index.delete('default/a', 5);
  assert.equal(index.deferred.size, 0);
});
