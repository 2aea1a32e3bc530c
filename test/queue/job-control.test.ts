import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CodedError, type ErrorCode } from '../../src/errors.ts';
import { encodeJobId } from '../../src/protocol/job-id.ts';
import type { QueueOptions } from '../../src/queue/queue-options.ts';
import { eventually, openQueue, type TestQueue } from './queue-builder.ts';

const SLOW = { minDelayMs: 600_000, maxDelayMs: 600_000, slowDelayMs: 600_000 };

function refuses(work: Promise<unknown>, code: ErrorCode): Promise<void> {
  return assert.rejects(work, (error) => error instanceof CodedError && error.code === code);
}

/** A queue whose one place is taken by a delivery that hangs. */
async function openBusy(
  t: TestContext,
  options: Partial<QueueOptions> = {},
): Promise<{ made: TestQueue; running: number }> {
  const made = await openQueue(t, { concurrency: 1, instanceConcurrency: 1, policy: SLOW, ...options });
  made.target.behave('*', 'hold');
  const running = await made.pushFile('/running');
  await made.until(running, 'delivering');
  return { made, running };
}

test('cancelJob() ends a job that waits for its turn, and lets the next one for its path go', async (t) => {
  const { made, running } = await openBusy(t);
  const behind = await made.push('/running', { bytes: 'behind' });
  const next = await made.push('/running', { bytes: 'next' });
  const cancelled = await made.queue.cancel(behind);
  assert.equal(cancelled.state, 'cancelled');
  assert.ok(cancelled.finishedAt !== null && cancelled.ahead === null);
  made.target.behave('*', 'deliver');
  await made.until(running, 'delivered');
  await made.until(next, 'delivered');
  assert.deepEqual(made.target.log, ['c1:/running=/running', 'c1:/running=next']);
});

test('cancelJob() ends a job that waits for a free place', async (t) => {
  const { made, running } = await openBusy(t);
  // Another lane, so that it is with fastq already.
  const waiting = await made.push('/f', { instance: 'c2' });
  const behind = await made.push('/f', { instance: 'c2', bytes: 'behind' });
  assert.equal((await made.queue.cancel(waiting)).state, 'cancelled');
  made.target.behave('*', 'deliver');
  await made.until(running, 'delivered');
  await made.until(behind, 'delivered');
  assert.equal(made.job(waiting).state, 'cancelled');
  assert.deepEqual(made.target.log, ['c1:/running=/running', 'c2:/f=behind']);
});

test('cancelJob() ends a deferred job, and its time brings it not back', async (t) => {
  const made = await openQueue(t, {}, { maxAttempts: 10_000 });
  made.target.behave('*', { fail: 'connection_lost' });
  const first = await made.push('/f');
  await made.until(first, 'deferred');
  // It may be tried just now; then that attempt is ended.
  assert.equal((await made.queue.cancel(first)).state, 'cancelled');
  made.target.behave('*', 'deliver');
  const other = await made.push('/f', { bytes: 'other' });
  await made.until(other, 'delivered');
  assert.equal(made.job(first).state, 'cancelled');
  assert.deepEqual(made.target.log, ['c1:/f=other']);
});

test('cancelJob() ends a delivery under way and leaves no temporary file', async (t) => {
  const { made, running } = await openBusy(t);
  await eventually(
    () => made.target.temporaries.size === 1,
    () => 'its temporary file is there',
  );
  assert.equal((await made.queue.cancel(running)).state, 'cancelled');
  assert.equal(made.target.temporaries.size, 0);
  assert.equal(made.target.files.size, 0);
  assert.deepEqual(made.spool.temporaries.all(), []);
  assert.equal(made.job(running).attempts, 0);
});

test('cancelJob() of a job whose attempt has just failed by itself cancels it all the same', async (t) => {
  const { made, running } = await openBusy(t);
  made.target.behave('*', { fail: 'connection_lost' });
  await eventually(
    () => made.target.running.get('all') === 0,
    () => 'the attempt has ended',
  );
  assert.equal(made.job(running).state, 'delivering', 'its outcome is not written down yet');
  assert.equal((await made.queue.cancel(running)).state, 'cancelled');
});

test('cancelJob() refuses what is finished, what was delivered meanwhile, and what there is not', async (t) => {
  const { made, running } = await openBusy(t);
  made.target.behave('*', 'deliver');
  const cancelling = made.queue.cancel(running);
  await Promise.allSettled([cancelling]);
  const { state } = await made.until(running, made.job(running).state);
  // The target looks at the signal before it renames; either end is right, but both sides have to say the same.
  if (state === 'delivered') await refuses(cancelling, 'conflict');
  else assert.equal((await cancelling).state, 'cancelled');
  await refuses(made.queue.cancel(running), 'conflict');
  await refuses(made.queue.cancel(12345), 'not_found');
});

test('cancelJob() called twice at once ends the job once', async (t) => {
  const { made } = await openBusy(t);
  const waiting = await made.push('/running', { bytes: 'x' });
  const results = await Promise.allSettled([made.queue.cancel(waiting), made.queue.cancel(waiting)]);
  assert.ok(results.some((result) => result.status === 'fulfilled'));
  assert.equal(made.job(waiting).state, 'cancelled');
});

test('retryJob() queues a failed job again with all its attempts', async (t) => {
  const made = await openQueue(t);
  made.target.behave('*', { fail: 'permission_denied' });
  const sequence = await made.push('/f');
  await made.until(sequence, 'failed');
  made.target.behave('*', { fail: 'connection_lost' });
  assert.equal((await made.queue.retry(sequence)).finishedAt, null);
  assert.equal((await made.until(sequence, 'failed')).attempts, 3);
  made.target.behave('*', 'deliver');
  await made.queue.retry(sequence);
  const done = await made.until(sequence, 'delivered');
  assert.equal(done.history.length, 5);
  assert.equal(made.target.files.get('c1:/f')?.toString(), '/f');
});

test('retryJob() lets a deferred job try at once, also when its instance is paused', async (t) => {
  for (const scope of ['job', 'instance'] as const) {
    const made = await openQueue(t, { policy: SLOW });
    made.target.behave('*', { fail: 'connection_lost', scope });
    const sequence = await made.push('/f');
    await made.until(sequence, 'deferred');
    made.target.behave('*', 'deliver');
    await made.queue.retry(sequence);
    await made.until(sequence, 'delivered');
  }
});

test('retryJob() also reaches a deferred job that the lane has not pulled since the start', async (t) => {
  const made = await openQueue(t, { instanceConcurrency: 1, policy: SLOW });
  made.target.behave('*', 'hold');
  // Accepted first, so that it is pulled first, and hangs.
  const running = await made.pushFile('/running', { instance: 'c1' });
  await made.until(running, 'delivering');
  const deferred = await made.push('/f');
  const record = made.spool.read(deferred);
  assert.ok(record !== undefined);
  await made.spool.record(record, { ...record, state: 'deferred', nextAttemptAt: Date.now() + 600_000 });
  await made.restart('crash');
  await made.until(running, 'delivering');
  await made.queue.retry(deferred);
  made.target.behave('*', 'deliver');
  await made.until(deferred, 'delivered');
});

test('retryJob() refuses what runs, waits or is done, and what would replace a later file', async (t) => {
  const { made, running } = await openBusy(t);
  const waiting = await made.push('/running', { bytes: 'x' });
  await refuses(made.queue.retry(running), 'conflict');
  await refuses(made.queue.retry(waiting), 'conflict');
  await refuses(made.queue.retry(12345), 'not_found');
  made.target.behave('*', { fail: 'permission_denied' });
  await made.until(running, 'failed');
  made.target.behave('*', 'deliver');
  await made.until(waiting, made.job(waiting).state);
  const later = await made.push('/running', { bytes: 'later' });
  await made.until(later, 'delivered');
  await refuses(made.queue.retry(later), 'conflict');
  await assert.rejects(made.queue.retry(running), {
    code: 'conflict',
    message: `Job ${encodeJobId(running)} cannot be retried: a later file was already delivered to its path; push it again if it is the one you want`,
  });
});

test('retryJob() puts a job back in its own place before later ones for its path', async (t) => {
  const { made, running } = await openBusy(t);
  const first = await made.push('/f', { bytes: 'first' });
  made.target.behave('*', { fail: 'permission_denied' });
  await made.until(running, 'failed');
  await made.until(first, 'failed');
  made.target.behave('*', 'hold');
  const busy = await made.pushFile('/busy');
  await made.until(busy, 'delivering');
  const second = await made.push('/f', { bytes: 'second' });
  await made.queue.retry(first);
  made.target.behave('*', 'deliver');
  await made.until(first, 'delivered');
  await made.until(second, 'delivered');
  assert.deepEqual(made.target.log, ['c1:/busy=/busy', 'c1:/f=first', 'c1:/f=second']);
});
