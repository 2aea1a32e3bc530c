import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { eventually, openQueue, QUICK } from './queue-builder.ts';

const SLOW = { minDelayMs: 60_000, maxDelayMs: 60_000, slowDelayMs: 60_000 };

test('Queue delivers at most `instanceConcurrency` units at once on an instance, and `concurrency` in all', async (t) => {
  const made = await openQueue(t, { concurrency: 5, instanceConcurrency: 2 });
  const { target } = made;
  target.behave('*', 'hold');
  const all: number[] = [];
  for (const instance of ['a', 'b', 'c', 'd']) {
    for (let i = 0; i < 4; i += 1) all.push(await made.pushFile(`/f${i}`, { instance }));
  }
  await eventually(
    () => target.running.get('all') === 5,
    () => 'five run',
  );
  target.behave('*', 'deliver');
  for (const sequence of all) await made.until(sequence, 'delivered');
  assert.equal(target.mostRunning.get('all'), 5);
  for (const instance of ['a', 'b', 'c', 'd']) {
    assert.ok((target.mostRunning.get(instance) ?? 0) <= 2, `${instance}: more than two at once`);
  }
});

test('Queue delivers an archive after all earlier jobs of its instance, before all later ones, and alone', async (t) => {
  const made = await openQueue(t, { instanceConcurrency: 8 });
  const { target } = made;
  target.behave('*', 'hold');
  const all: number[] = [];
  for (const path of ['/a', '/b', '/tree/', '/c', '/d']) {
    const isTree = path.endsWith('/');
    const about = isTree ? { extract: 'tar' as const, filesTotal: 2, sourceName: 'name' } : {};
    all.push(await made.push(path, about));
  }
  target.behave('*', 'deliver');
  for (const sequence of all) await made.until(sequence, 'delivered');
  const order = target.calls.filter((call) => call.startsWith('deliver')).map((call) => call.slice(-1));
  assert.deepEqual(
    [order.slice(0, 2).sort(), order[2], order.slice(3).sort()],
    [['a', 'b'], '/', ['c', 'd']],
  );
  assert.equal(made.job(all[2] ?? 0).filesTotal, 2);
});

test('Queue lets small files travel together and counts them as one', async (t) => {
  const made = await openQueue(t, { concurrency: 1, instanceConcurrency: 1 });
  const { target } = made;
  target.behave('*', 'hold');
  await made.pushFile('/first');
  const small = await Promise.all(Array.from({ length: 32 }, (_, i) => made.push(`/s${i}`)));
  target.behave('*', 'deliver');
  for (const sequence of small) await made.until(sequence, 'delivered');
  assert.ok((target.mostRunning.get('all') ?? 0) > 1);
});

test('Queue does not let an instance that hangs delay another', async (t) => {
  const made = await openQueue(t);
  made.target.behave('slow', 'hold');
  const slow = await Promise.all(
    Array.from({ length: 10 }, (_, i) => made.pushFile(`/f${i}`, { instance: 'slow' })),
  );
  for (let i = 0; i < 20; i += 1)
    await made.until(await made.pushFile(`/f${i}`, { instance: 'fast' }), 'delivered');
  assert.ok(slow.every((sequence) => made.job(sequence).state !== 'delivered'));
  assert.equal(made.job(Math.max(...slow)).ahead, 9);
  made.target.behave('slow', 'deliver');
  for (const sequence of slow) await made.until(sequence, 'delivered');
});

test('Queue delivers the jobs of one path in order, also when some fail in between', async (t) => {
  const made = await openQueue(t, { policy: { minDelayMs: 1, maxDelayMs: 2, slowDelayMs: 2 } });
  const { target } = made;
  const plan = fc.sample(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 60, maxLength: 60 }), {
    numRuns: 1,
    seed: 7,
  })[0] as number[];
  const accepted = new Map<string, string[]>();
  const sequences: number[] = [];
  for (const [index, file] of plan.entries()) {
    if (index % 7 === 3) target.behave('*', { fail: 'connection_lost' });
    if (index % 7 === 5) target.behave('*', 'deliver');
    const bytes = `v${index}`;
    accepted.set(`/p${file}`, [...(accepted.get(`/p${file}`) ?? []), bytes]);
    sequences.push(await made.push(`/p${file}`, { bytes, sourceName: '' }));
  }
  target.behave('*', 'deliver');
  await eventually(
    () => sequences.every((sequence) => made.job(sequence).finishedAt !== null),
    () => 'all are finished',
  );
  for (const [path, order] of accepted) {
    const failedOnes = sequences
      .map((sequence) => made.job(sequence))
      .filter((job) => job.state === 'failed');
    const failed = new Set(failedOnes.map((job) => `v${sequences.indexOf(decode(job.id, made))}`));
    const seen = target.log
      .filter((line) => line.startsWith(`c1:${path}=`))
      .map((line) => line.split('=')[1]);
    assert.deepEqual(
      seen,
      order.filter((bytes) => !failed.has(bytes)),
    );
  }

  function decode(id: string, { queue }: typeof made): number {
    return sequences.find((sequence) => queue.find(sequence)?.id === id) as number;
  }
});

test('Queue gives up a job after its last attempt and goes on with the next for its path', async (t) => {
  const made = await openQueue(t);
  made.target.behave('*', { fail: 'connection_lost' });
  const first = await made.push('/f', { bytes: 'first' });
  const second = await made.push('/f', { bytes: 'second' });
  const failed = await made.until(first, 'failed');
  assert.equal(failed.attempts, 3);
  assert.equal(failed.error?.code, 'connection_lost');
  made.target.behave('*', 'deliver');
  await made.until(second, 'delivered');
  assert.deepEqual(made.target.log, ['c1:/f=second']);
});

test('Queue pauses while Incus is away, spends no attempt, and goes on when it answers', async (t) => {
  const made = await openQueue(t);
  const { target, queue } = made;
  target.behave('*', 'away');
  target.reachability = { reachable: false, reason: 'there is no socket' };
  const sequences = [
    await made.push('/a'),
    await made.pushFile('/b'),
    await made.push('/c', { instance: 'd' }),
  ];
  await eventually(
    () => queue.circuit.reason !== undefined,
    () => 'the circuit opens',
  );
  await eventually(
    () => queue.circuit.reason === 'there is no socket',
    () => 'a probe says why',
  );
  await eventually(
    () => target.running.get('all') === 0,
    () => 'nothing runs',
  );
  const tried = target.calls.filter((call) => call.startsWith('deliver')).length;
  const later = await made.push('/later');
  const probes = target.calls.filter((call) => call === 'probe').length;
  await eventually(
    () => target.calls.filter((call) => call === 'probe').length > probes,
    () => 'it asks again',
  );
  assert.equal(
    target.calls.filter((call) => call.startsWith('deliver')).length,
    tried,
    'something was tried',
  );
  target.behave('*', 'deliver');
  target.reachability = { reachable: true };
  for (const sequence of [...sequences, later]) {
    const job = await made.until(sequence, 'delivered');
    assert.equal(job.attempts, 1);
    assert.equal(job.history.length, 1);
  }
  assert.equal(queue.circuit.reason, undefined);
});

test('Queue pauses an instance that cannot take files, and then lets one job go first', async (t) => {
  const made = await openQueue(t, { policy: { ...QUICK, minDelayMs: 4000, maxDelayMs: 4000 } });
  const { target } = made;
  target.behave('c1', { fail: 'instance_unavailable', scope: 'instance' });
  const first = await made.pushFile('/f0');
  await made.until(first, 'deferred');
  const tried = target.calls.length;
  const others = await Promise.all(Array.from({ length: 8 }, (_, i) => made.push(`/f${i + 1}`)));
  const elsewhere = await made.push('/f', { instance: 'c2' });
  await made.until(elsewhere, 'delivered');
  assert.equal(target.calls.filter((call) => call.includes(' c1:')).length, tried, 'the pause was not kept');
  target.behave('c1', 'hold');
  await eventually(
    () => target.running.get('c1') === 1,
    () => 'one goes first',
  );
  assert.equal(target.running.get('c1'), 1);
  target.behave('c1', 'deliver');
  for (const sequence of [first, ...others]) await made.until(sequence, 'delivered');
});

test('Queue does not try more jobs of an instance after one has found out that it has trouble', async (t) => {
  const made = await openQueue(t, { concurrency: 1, instanceConcurrency: 1, policy: SLOW });
  made.target.behave('*', 'hold');
  const first = await made.pushFile('/f0');
  const others: number[] = [];
  for (let i = 1; i <= 20; i += 1) others.push(await made.pushFile(`/f${i}`));
  made.target.behave('*', { fail: 'instance_unavailable', scope: 'instance' });
  await made.until(first, 'deferred');
  await made.until(await made.push('/f', { instance: 'c2' }).then((s) => s), 'deferred');
  const spent = others.filter((sequence) => made.job(sequence).attempts > 0).length;
  assert.equal(spent, 0, `${spent} other jobs spent an attempt`);
});

test('Queue.wake() tries what waits for an instance at once', async (t) => {
  const made = await openQueue(t, { policy: SLOW });
  made.target.behave('*', { fail: 'instance_unavailable', scope: 'instance' });
  const sequences = [await made.pushFile('/a'), await made.push('/b')];
  await made.until(sequences[0] as number, 'deferred');
  made.target.behave('*', 'deliver');
  made.queue.wake('default', 'other');
  made.queue.wake('default', 'c1');
  for (const sequence of sequences) await made.until(sequence, 'delivered');
});

test('Queue takes no job twice when an alarm of a lane that was idle in between rings', async (t) => {
  const made = await openQueue(t, { policy: { minDelayMs: 400, maxDelayMs: 400, slowDelayMs: 400 } });
  const { target } = made;
  target.behave('c1', { fail: 'instance_unavailable', scope: 'instance' });
  const first = await made.push('/f');
  const { nextAttemptAt } = await made.until(first, 'deferred');
  await made.queue.cancel(first);
  target.behave('c1', 'hold');
  const second = await made.push('/g');
  await made.until(second, 'delivering');
  await eventually(
    () => Date.now() > (nextAttemptAt ?? 0) + 100,
    () => 'the pause is over',
  );
  assert.equal(target.running.get('c1'), 1);
  target.behave('c1', 'deliver');
  await made.until(second, 'delivered');
  assert.deepEqual(target.log, ['c1:/g=/g']);
});

test('Queue counts what it did', async (t) => {
  const made = await openQueue(t);
  await made.until(await made.push('/a', { bytes: '12345' }), 'delivered');
  made.target.behave('*', { fail: 'permission_denied' });
  await made.until(await made.push('/b'), 'failed');
  assert.deepEqual(made.queue.totals.attempts, { delivered: 1, transient: 0, permanent: 1 });
  assert.equal(made.queue.totals.deliveredBytes, 5);
  assert.deepEqual(made.queue.active.counts(), { queued: 0, deferred: 0, delivering: 0 });
  made.target.behave('*', 'hold');
  const held = await made.push('/c');
  await made.until(held, 'delivering');
  await made.push('/c');
  assert.deepEqual(made.queue.active.counts(), { queued: 1, deferred: 0, delivering: 1 });
});
