import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isFinished, JOB_STATES, type JobState, laneOf, mayBecome } from '../../src/protocol/job.ts';

const following = (state: JobState): JobState[] => JOB_STATES.filter((next) => mayBecome(state, next));

test('mayBecome() allows exactly the arrows of the drawing', () => {
  const arrows = Object.fromEntries(JOB_STATES.map((state) => [state, following(state).sort()]));
  assert.deepEqual(arrows, {
    queued: ['cancelled', 'delivering'],
    delivering: ['cancelled', 'deferred', 'delivered', 'failed', 'queued'],
    deferred: ['cancelled', 'delivering', 'failed', 'queued'],
    delivered: ['queued'],
    failed: ['queued'],
    cancelled: [],
  });
});

test('mayBecome() lets a finished job go on only through `queued`, and a cancelled one never', () => {
  for (const state of JOB_STATES.filter(isFinished)) {
    assert.ok(following(state).every((next) => next === 'queued'));
  }
  assert.deepEqual(following('cancelled'), []);
});

test('mayBecome() lets nothing be delivered that was not being delivered', () => {
  const before = JOB_STATES.filter((state) => mayBecome(state, 'delivered'));
  assert.deepEqual(before, ['delivering']);
});

test('every walk from `queued` can still come to an end, in at most two steps', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 1000 }), { maxLength: 40 }), (choices) => {
      let state: JobState = 'queued';
      for (const choice of choices) {
        const next = following(state);
        if (next.length === 0) break;
        state = next[choice % next.length] ?? state;
      }
      const near = [state, ...following(state), ...following(state).flatMap(following)];
      assert.ok(near.some(isFinished), state);
    }),
  );
});

test('laneOf() tells every instance of every project apart', () => {
  assert.equal(laneOf({ project: 'default', instance: 'c1' }), 'default/c1');
  const name = fc.stringMatching(/^[a-z-]{1,5}$/);
  fc.assert(
    fc.property(name, name, name, name, (a, b, c, d) => {
      const same = a === c && b === d;
      assert.equal(laneOf({ project: a, instance: b }) === laneOf({ project: c, instance: d }), same);
    }),
  );
});
