import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openQueue } from './queue-builder.ts';

test('Queue.start() takes up what the journal holds; deferred jobs keep their time', async (t) => {
  const made = await openQueue(t, { policy: { minDelayMs: 2000, maxDelayMs: 2000, slowDelayMs: 2000 } });
  const { target } = made;
  target.behave('bad', { fail: 'connection_lost' });
  const deferred = await made.push('/d', { instance: 'bad' });
  const { nextAttemptAt } = await made.until(deferred, 'deferred');
  target.behave('*', 'hold');
  const queued = await Promise.all(Array.from({ length: 5 }, (_, i) => made.push(`/q${i}`)));
  await made.restart('crash');
  assert.equal(made.job(deferred).nextAttemptAt, nextAttemptAt);
  assert.equal(made.job(deferred).attempts, 1);
  target.behave('*', 'deliver');
  target.behave('bad', 'deliver');
  for (const sequence of queued) await made.until(sequence, 'delivered');
  const done = await made.until(deferred, 'delivered');
  assert.equal(done.attempts, 2);
  assert.ok((done.history[1]?.startedAt ?? 0) >= (nextAttemptAt ?? 0), 'it was tried before its time');
});

test('Queue keeps the order of a path over restarts', async (t) => {
  const made = await openQueue(t);
  const { target } = made;
  target.behave('*', 'hold');
  const sequences: number[] = [];
  for (let i = 0; i < 4; i += 1) sequences.push(await made.push('/f', { bytes: `v${i}` }));
  await made.until(sequences[0] as number, 'delivering');
  await made.restart('crash');
  for (let i = 4; i < 6; i += 1) sequences.push(await made.push('/f', { bytes: `v${i}` }));
  await made.restart('stop');
  target.behave('*', 'deliver');
  for (const sequence of sequences) await made.until(sequence, 'delivered');
  assert.deepEqual(
    target.log,
    [0, 1, 2, 3, 4, 5].map((i) => `c1:/f=v${i}`),
  );
});

test('Queue delivers again what was delivered but not written down, but never over a later file', async (t) => {
  const made = await openQueue(t);
  made.target.behave('*', 'hold');
  const first = await made.push('/f', { bytes: 'first' });
  await made.until(first, 'delivering');
  // The state directory as it would be after kill -9 between the rename and its record.
  await made.restart('crash');
  made.target.behave('*', 'deliver');
  await made.until(first, 'delivered');
  const second = await made.push('/f', { bytes: 'second' });
  await made.until(second, 'delivered');
  assert.equal(made.target.files.get('c1:/f')?.toString(), 'second');
});

test('Queue.stop() gives attempts under way their grace, and ends the others without an attempt spent', async (t) => {
  const made = await openQueue(t);
  const { target } = made;
  target.behave('slow', 'hold');
  target.behave('quick', 'hold');
  const slow = await made.pushFile('/s', { instance: 'slow' });
  const quick = await made.pushFile('/q', { instance: 'quick' });
  await made.until(slow, 'delivering');
  await made.until(quick, 'delivering');
  const stopping = made.queue.stop(300);
  const late = await made.push('/late', { instance: 'quick' });
  target.behave('quick', 'deliver');
  await stopping;
  assert.equal(made.job(quick).state, 'delivered');
  assert.equal(made.job(slow).state, 'queued');
  assert.equal(made.job(slow).attempts, 0);
  assert.equal(made.job(late).state, 'queued');
  assert.equal(target.running.get('all'), 0);
  target.behave('*', 'deliver');
  target.behave('slow', 'deliver');
  await made.restart('stop');
  for (const sequence of [slow, late]) await made.until(sequence, 'delivered');
});

test('Queue says that a record cannot be read and goes on with the others', async (t) => {
  const warnings: string[] = [];
  const log = { info: () => undefined, warn: (_: object, message: string) => warnings.push(message) };
  const made = await openQueue(t, { log });
  made.target.behave('*', 'hold');
  const before = await made.push('/f', { bytes: 'a' });
  const broken = await made.push('/f', { bytes: 'b' });
  const after = await made.push('/f', { bytes: 'c' });
  await made.until(before, 'delivering');
  await made.spool.journal.write(() => made.spool.journal.jobs.put(broken, Buffer.from('{')));
  await made.restart('crash');
  made.target.behave('*', 'deliver');
  await made.until(after, 'delivered');
  assert.deepEqual(made.target.log, ['c1:/f=a', 'c1:/f=c']);
  assert.ok(warnings.includes('cannot read a job'));
});

test('Queue.start() does not wait for a time that was noted by a clock far ahead', async (t) => {
  let aheadMs = 86_400_000;
  const made = await openQueue(t, { nowMs: () => Date.now() + aheadMs });
  made.target.behave('*', { fail: 'instance_unavailable', scope: 'instance' });
  const sequence = await made.push('/f');
  await made.until(sequence, 'deferred');
  aheadMs = 0;
  made.target.behave('*', 'deliver');
  await made.restart('crash');
  await made.until(sequence, 'delivered');
});
