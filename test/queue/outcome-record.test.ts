import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Outcome } from '../../src/delivery/target.ts';
import { recordOutcome } from '../../src/queue/outcome-record.ts';
import { createRecord } from '../../src/spool/create-record.ts';
import type { JobRecord } from '../../src/spool/job-record.ts';
import { draft } from '../spool/spool-builder.ts';
import { failed } from './switch-target.ts';

const policy = { minDelayMs: 1000, maxDelayMs: 300_000, slowDelayMs: 60_000 };
const about = { startedAtMs: 5000, nowMs: 6000, policy, random: () => 0 };
const delivered: Outcome = { kind: 'delivered', path: '/srv/file' };

function makeRecord(changes: Partial<JobRecord> = {}): JobRecord {
  const made = createRecord(draft(), { sequence: 1, nowMs: 1000, size: 3, payloadFile: 0, maxAttempts: 3 });
  return { ...made, ...changes };
}

test('recordOutcome() finishes a delivered job', () => {
  const before = makeRecord({ state: 'deferred', nextAttemptAt: 4000, attempts: 1, attemptsTotal: 4 });
  const after = recordOutcome(before, delivered, about);
  assert.equal(after.state, 'delivered');
  assert.equal(after.deliveredPath, '/srv/file');
  assert.equal(after.finishedAt, 6000);
  assert.equal(after.nextAttemptAt, null);
  assert.equal(after.error, null);
  assert.equal(after.attempts, 2);
  assert.equal(after.attemptsTotal, 5);
  assert.deepEqual(after.history, [{ startedAt: 5000, endedAt: 6000, error: null }]);
});

test('recordOutcome() counts no attempt that failed because Incus is away', () => {
  const before = makeRecord({ attempts: 2 });
  assert.equal(recordOutcome(before, failed('target_unreachable', { scope: 'target' }), about), before);
});

test('recordOutcome() fails a job for good at a permanent failure, and when its attempts are used up', () => {
  const permanent = recordOutcome(makeRecord(), failed('permission_denied'), about);
  assert.equal(permanent.state, 'failed');
  assert.equal(permanent.error?.code, 'permission_denied');
  assert.equal(permanent.finishedAt, 6000);
  const first = recordOutcome(makeRecord(), failed('connection_lost'), about);
  const second = recordOutcome(first, failed('timed_out'), about);
  const third = recordOutcome(second, failed('connection_lost'), about);
  assert.deepEqual(
    [first, second, third].map(({ state, attempts }) => [state, attempts]),
    [
      ['deferred', 1],
      ['deferred', 2],
      ['failed', 3],
    ],
  );
  assert.equal(third.nextAttemptAt, null);
  assert.deepEqual(
    third.history.map(({ error }) => error?.code),
    ['connection_lost', 'timed_out', 'connection_lost'],
  );
});

test('recordOutcome() waits longer after each failure, and at least the slow delay for a full disk', () => {
  const waits = (outcome: Outcome, more: Partial<typeof policy> = {}): (number | null)[] =>
    [0, 1, 9].map((attempts) => {
      const after = recordOutcome(makeRecord({ attempts, maxAttempts: 99 }), outcome, {
        ...about,
        policy: { ...policy, ...more },
      });
      return after.nextAttemptAt === null ? null : after.nextAttemptAt - 6000;
    });
  assert.deepEqual(waits(failed('connection_lost')), [500, 1000, 150_000]);
  assert.deepEqual(waits(failed('instance_disk_full', { slow: true })), [60_000, 60_000, 150_000]);
  const short = { maxDelayMs: 2000 };
  assert.deepEqual(waits(failed('instance_disk_full', { slow: true }), short), [2000, 2000, 2000]);
});

test('recordOutcome() keeps the last ten attempts, whatever happened', () => {
  const outcome = fc.constantFrom(
    delivered,
    failed('connection_lost'),
    failed('instance_disk_full', { slow: true }),
    failed('target_unreachable', { scope: 'target' }),
  );
  fc.assert(
    fc.property(fc.array(outcome, { maxLength: 30 }), (outcomes) => {
      let record = makeRecord({ maxAttempts: 1000 });
      let counted = 0;
      for (const [index, one] of outcomes.entries()) {
        record = recordOutcome(record, one, { ...about, startedAtMs: index });
        if (one.kind !== 'transient' || one.scope !== 'target') counted += 1;
        assert.equal(record.attempts, counted);
        assert.equal(record.history.length, Math.min(10, counted));
        assert.equal(record.state === 'deferred', record.nextAttemptAt !== null);
      }
      const starts = record.history.map(({ startedAt }) => startedAt);
      assert.deepEqual(
        starts,
        [...starts].sort((a, b) => a - b),
      );
    }),
  );
});
