import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Lane, type PulledJob } from '../../src/queue/lane.ts';
import { arbitraryLeftovers, arbitrarySteps, LaneUnderTest } from './lane-model.ts';

test('Lane keeps the order of each file, never runs two jobs of one file at once, and forgets none', () => {
  fc.assert(
    fc.property(arbitraryLeftovers, arbitrarySteps, (leftovers, steps) => {
      const under = new LaneUnderTest();
      for (const [keys, afterMs] of leftovers) under.recover(keys, afterMs);
      for (const step of steps) step(under);
      under.drain();
    }),
    { numRuns: 5000 },
  );
});

test('Lane.take() gives up to the limit of small jobs, and a large one alone', () => {
  const under = new LaneUnderTest();
  for (let key = 1; key <= 5; key += 1) under.accept([key], key !== 4);
  for (const limit of [2, 9, 9, 9, 9]) under.take(limit);
  assert.deepEqual(under.taken, [[1, 2], [3], [4], [5], []]);
});

test('Lane.take() gives nothing while the lane is paused, and one job after it', () => {
  const under = new LaneUnderTest();
  for (let key = 1; key <= 3; key += 1) under.accept([key], true);
  const { lane } = under;
  lane.pausedUntilMs = 100;
  lane.probing = true;
  assert.deepEqual(lane.take(9, 99), []);
  assert.deepEqual(lane.take(9, 100), [1]);
  lane.running = 1;
  assert.deepEqual(lane.take(9, 100), []);
  lane.probing = false;
  assert.deepEqual(lane.take(9, 100), [2, 3]);
});

test('Lane.take() gives a barrier after all before it and alone, and nothing behind it until it ends', () => {
  const under = new LaneUnderTest();
  for (let key = 1; key <= 4; key += 1) under.accept([key], true, key === 3);
  under.drain();
  assert.deepEqual(under.taken, [[1, 2], [3], [4]]);
});

test('Lane.take() pulls no more jobs than it needs', () => {
  const pulled: number[] = [];
  const lane = new Lane('default/c1', {
    after: (sequence) => (sequence < 1_000_000 ? sequence + 1 : undefined),
    pull: (sequence): PulledJob => {
      pulled.push(sequence);
      return { sequence, keys: [sequence], small: true, notBeforeMs: 0 };
    },
    onDeferred: () => assert.fail(),
  });
  assert.deepEqual(lane.take(3, 0), [1, 2, 3]);
  assert.deepEqual(pulled, [1, 2, 3]);
});

test('Lane.take() passes over a job that cannot be read', () => {
  const lane = new Lane('default/c1', {
    after: (sequence) => (sequence < 3 ? sequence + 1 : undefined),
    pull: (sequence) =>
      sequence === 2 ? undefined : { sequence, keys: [7, sequence], small: true, notBeforeMs: 0 },
    onDeferred: () => assert.fail(),
  });
  assert.deepEqual(lane.take(9, 0), [1]);
  lane.finish(1);
  assert.deepEqual(lane.take(9, 0), [3]);
});

test('Lane.isClearFor() is false while anything stands before a new job', () => {
  const under = new LaneUnderTest();
  const { lane } = under;
  assert.equal(lane.isClearFor([1], 0), true);
  under.accept([1], true);
  assert.equal(lane.isClearFor([2], 0), false, 'a job is left to be pulled');
  under.take(1);
  assert.equal(lane.isClearFor([2], 0), true);
  assert.equal(lane.isClearFor([2, 1], 0), false, 'its file is being written');
  lane.pausedUntilMs = 5;
  assert.equal(lane.isClearFor([2], 4), false, 'the lane is paused');
  assert.equal(lane.isClearFor([2], 5), true);
  lane.probing = true;
  assert.equal(lane.isClearFor([2], 5), false, 'one job has to go first');
});

test('Lane.adopt() lets earlier jobs of the file go first that a full lane has not pulled yet', () => {
  const under = new LaneUnderTest();
  const early = under.accept([1], false);
  under.adopt([1]);
  under.take(1);
  assert.deepEqual(under.taken, [[early]]);
});

for (const leave of ['giveBack', 'defer'] as const) {
  test(`Lane.${leave}() lets an earlier job go first that was taken up again meanwhile`, () => {
    const under = new LaneUnderTest();
    under.accept([1], false);
    under.take(1);
    under.fail(0);
    under.accept([1], false);
    under.take(1);
    under.readmit(0);
    under[leave](0, 5);
    under.take(1);
    assert.deepEqual(under.taken.at(-1), [1]);
    under.drain();
  });
}

test('Lane.adopt() leaves the first place to an earlier job that is committed later, once it stops', () => {
  const under = new LaneUnderTest();
  under.acceptLate([1]);
  under.adopt([1]);
  under.commit(0);
  under.giveBack(0);
  under.take(1);
  assert.deepEqual(under.taken.at(-1), [1]);
  under.drain();
});

test('Lane.wake() and Lane.hurry() also reach jobs that are not pulled yet', () => {
  const under = new LaneUnderTest();
  under.accept([1], false);
  under.recover([2], 500);
  under.recover([3], 500);
  under.take(1);
  under.lane.hurry(2);
  assert.deepEqual(under.lane.take(9, under.nowMs), [2]);
  under.lane.wake(0);
  assert.deepEqual(under.lane.take(9, under.nowMs), [3]);
});

test('Lane.dueMs() tells a deferred job from others', () => {
  const under = new LaneUnderTest();
  under.accept([1], true);
  under.take(1);
  assert.equal(under.lane.dueMs(1), undefined);
  under.lane.defer(1, 42);
  assert.equal(under.lane.dueMs(1), 42);
  under.lane.giveBack(1);
  assert.equal(under.lane.dueMs(1), undefined);
});
