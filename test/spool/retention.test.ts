import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyOfPath } from '../../src/protocol/path-key.ts';
import { decodeNumber } from '../../src/spool/number-codec.ts';
import { forgetOldJobs } from '../../src/spool/retention.ts';
import { acceptFile, deliver, draft, openSpool, payloadFiles, settle } from './spool-builder.ts';

const bytes = Buffer.from('payload');
const never = (): boolean => false;
const START_MS = 1_800_000_000_000;

test('forgetOldJobs() leaves nothing of a job that finished long ago', async (t) => {
  const clock = { nowMs: START_MS };
  const { spool, stateDir } = await openSpool(t, { nowMs: () => clock.nowMs, lingerMs: 0 });
  const old = await acceptFile(spool, draft({ idempotencyKey: 'k1' }), bytes);
  await settle(spool, old, 'failed');
  await deliver(spool, await spool.acceptInline(draft({ idempotencyKey: 'k2' }), bytes));
  await settle(spool, await spool.acceptInline(draft({ idempotencyKey: 'k3' }), bytes), 'cancelled');
  const unfinished = await spool.acceptInline(draft({ idempotencyKey: 'k4' }), bytes);
  clock.nowMs += 1000;
  const recent = await deliver(spool, await spool.acceptInline(draft({ path: '/recent' }), bytes));

  assert.equal(await forgetOldJobs(spool, START_MS + 500, never), 3);
  const { journal } = spool;
  assert.deepEqual([...journal.jobs.getKeys({ start: 0 })], [unfinished.sequence, recent.sequence]);
  assert.deepEqual([...journal.keys.getKeys({})], ['k4']);
  assert.deepEqual([...journal.paths.getKeys({})], [keyOfPath(recent, '/recent')]);
  assert.deepEqual([...journal.instances.getKeys({})], [['c1', 'default', recent.sequence]]);
  assert.deepEqual([...journal.payloads.getKeys({ start: 0 })], [unfinished.sequence]);
  assert.deepEqual(await payloadFiles(stateDir), []);
  assert.deepEqual(spool.countFinished(), { delivered: 1, failed: 0, cancelled: 0 });
});

test('forgetOldJobs() goes by when a job finished, in many commits', async (t) => {
  const clock = { nowMs: START_MS };
  const { spool } = await openSpool(t, { nowMs: () => clock.nowMs });
  const records = await Promise.all(
    Array.from({ length: 1200 }, (_, i) => spool.acceptInline(draft({ path: `/p${i}` }), bytes)),
  );
  for (const [i, record] of records.entries()) {
    clock.nowMs = START_MS + (i % 2 === 0 ? 0 : 10_000);
    void deliver(spool, record);
  }
  await spool.journal.write(() => undefined);
  assert.equal(await forgetOldJobs(spool, START_MS + 5000, never), 600);
  assert.equal(spool.countFinished().delivered, 600);
});

test('forgetOldJobs() keeps the path of a newer delivery that stands in the same commit', async (t) => {
  const clock = { nowMs: START_MS };
  const { spool } = await openSpool(t, { nowMs: () => clock.nowMs });
  const old = await deliver(spool, await spool.acceptInline(draft(), bytes));
  const next = await spool.acceptInline(draft(), bytes);
  clock.nowMs += 1000;
  await Promise.all([deliver(spool, next), forgetOldJobs(spool, START_MS + 500, never)]);
  const key = keyOfPath(old, '/srv/file');
  assert.equal(decodeNumber(spool.journal.paths.get(key) as Buffer), next.sequence);
  assert.ok(spool.isOvertaken([key], old.sequence));
  assert.equal(spool.read(old.sequence), undefined);
});

test('forgetOldJobs() does not take a job away that is just queued again', async (t) => {
  const clock = { nowMs: START_MS };
  const { spool } = await openSpool(t, { nowMs: () => clock.nowMs });
  const failed = await settle(spool, await spool.acceptInline(draft(), bytes), 'failed');
  clock.nowMs += 1000;
  const queued = { ...failed, state: 'queued', finishedAt: null } as const;
  const [forgotten] = await Promise.all([
    (async () => {
      const recording = spool.record(failed, queued);
      const count = await forgetOldJobs(spool, START_MS + 500, never);
      await recording;
      return count;
    })(),
  ]);
  assert.equal(forgotten, 0);
  assert.equal(spool.read(failed.sequence)?.state, 'queued');
  assert.equal(spool.live.size, 1);
});

test('Spool.record() says not_found of a job that is just being forgotten', async (t) => {
  const clock = { nowMs: START_MS };
  const { spool } = await openSpool(t, { nowMs: () => clock.nowMs });
  const failed = await settle(spool, await spool.acceptInline(draft(), bytes), 'failed');
  clock.nowMs += 1000;
  const forgetting = forgetOldJobs(spool, START_MS + 500, never);
  await assert.rejects(spool.record(failed, { ...failed, state: 'queued', finishedAt: null }), {
    code: 'not_found',
  });
  assert.equal(await forgetting, 1);
  assert.equal(spool.live.size, 0);
});

test('forgetOldJobs() leaves a record that it cannot read, and goes on', async (t) => {
  const clock = { nowMs: START_MS };
  const made = await openSpool(t, { nowMs: () => clock.nowMs });
  let { spool } = made;
  const broken = await deliver(spool, await spool.acceptInline(draft(), bytes));
  await deliver(spool, await spool.acceptInline(draft(), bytes));
  await spool.journal.write(() => spool.journal.jobs.put(broken.sequence, Buffer.from('{')));
  spool = await made.reopen();
  assert.equal(await forgetOldJobs(spool, START_MS + 500, never), 1);
  assert.ok(spool.journal.jobs.doesExist(broken.sequence));
});

test('forgetOldJobs() finds jobs whose sequence ran ahead of a clock that was set back', async (t) => {
  const clock = { nowMs: START_MS + 1e9 };
  const { spool } = await openSpool(t, { nowMs: () => clock.nowMs });
  const record = await spool.acceptInline(draft(), bytes);
  clock.nowMs = START_MS;
  await deliver(spool, record);
  assert.equal(await forgetOldJobs(spool, START_MS + 1, never), 1);
});

test('forgetOldJobs() stops when it is told to', async (t) => {
  const { spool } = await openSpool(t);
  await deliver(spool, await spool.acceptInline(draft(), bytes));
  assert.equal(await forgetOldJobs(spool, Date.now() + 1000, () => true), 0);
});
