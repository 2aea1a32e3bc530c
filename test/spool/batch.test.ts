import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { JobRecord } from '../../src/spool/job-record.ts';
import { payloadName } from '../../src/spool/recovery.ts';
import { forgetOldJobs } from '../../src/spool/retention.ts';
import type { Draft, Spool } from '../../src/spool/spool.ts';
import { check } from './fsck-builder.ts';
import { acceptFile, deliver, draft, openSpool, payloadFiles, readPayload, settle } from './spool-builder.ts';

const small = Buffer.from('payload');
const large = Buffer.alloc(100_000, 'large');

function batchDraft(instances: readonly string[], overrides: Partial<Draft> = {}): Draft {
  const destinations = instances.map((instance) => ({ instance, path: '/srv/file', sourceName: 'file' }));
  return draft({ instance: instances[0] ?? '', batch: { destinations, request: 'request' }, ...overrides });
}

async function acceptBatch(
  spool: Spool,
  inline: boolean,
  instances = ['c1', 'c2', 'c3'],
): Promise<JobRecord[]> {
  const about = batchDraft(instances);
  const first = inline ? await spool.acceptInline(about, small) : await acceptFile(spool, about, large);
  const records = spool.readBatch(first.sequence);
  assert.deepEqual(
    records.map(({ instance }) => instance),
    instances,
  );
  return records;
}

/** What the journal holds of shared payloads: 0 for the payload itself. */
const entriesOf = (spool: Spool): number[] =>
  Array.from(spool.journal.batches.getKeys({}), ([, sequence]) => sequence);

const one = ([record]: readonly JobRecord[]): JobRecord => {
  assert.ok(record);
  return record;
};

async function fsckFindsNothing(made: Awaited<ReturnType<typeof openSpool>>): Promise<void> {
  await made.spool.close();
  assert.deepEqual(await check(made.stateDir, false), []);
}

for (const inline of [true, false]) {
  const bytes = inline ? small : large;
  const kind = inline ? 'small' : 'large';

  test(`the jobs of a batch with a ${kind} payload are there after a crash, each with the payload, kept once`, async (t) => {
    const made = await openSpool(t);
    const records = await acceptBatch(made.spool, inline);
    const spool = await made.crash();
    assert.deepEqual(spool.readBatch(one(records).sequence), records);
    assert.equal(spool.live.size, 3);
    assert.deepEqual([...spool.live.lanes()].sort(), ['default/c1', 'default/c2', 'default/c3']);
    for (const record of records) assert.deepEqual(await readPayload(spool, record), bytes);
    assert.equal((await payloadFiles(made.stateDir)).length, inline ? 0 : 1);
    assert.deepEqual([...spool.journal.payloads.getKeys({ start: 0 })], []);
    await fsckFindsNothing(made);
  });

  test(`a ${kind} payload goes with the last job that needs it`, async (t) => {
    const clock = { nowMs: 1_800_000_000_000 };
    const made = await openSpool(t, { nowMs: () => clock.nowMs });
    const { spool } = made;
    const [a, b, c] = await acceptBatch(spool, inline);
    assert.ok(a && b && c);
    await settle(spool, a, 'cancelled');
    await deliver(spool, b);
    const failed = await settle(spool, c, 'failed');
    assert.deepEqual(entriesOf(spool), [0, b.sequence, c.sequence]);
    clock.nowMs += 60_001;
    await spool.payloads.sweep();
    assert.deepEqual(entriesOf(spool), [0, c.sequence]);
    assert.deepEqual(await readPayload(spool, failed), bytes);
    assert.equal(await forgetOldJobs(spool, clock.nowMs + 1, () => false), 3);
    assert.deepEqual(await payloadFiles(made.stateDir), []);
    await made.reopen();
    assert.deepEqual(entriesOf(made.spool), []);
    await fsckFindsNothing(made);
  });

  test(`a ${kind} payload of a failed job is there for a retry, whatever became of the first job`, async (t) => {
    const clock = { nowMs: 1_800_000_000_000 };
    const made = await openSpool(t, { nowMs: () => clock.nowMs, lingerMs: 0 });
    const [a, b, c] = await acceptBatch(made.spool, inline);
    assert.ok(a && b && c);
    await deliver(made.spool, a);
    await settle(made.spool, b, 'cancelled');
    clock.nowMs += 1000;
    const failed = await settle(made.spool, c, 'failed');
    assert.equal(await forgetOldJobs(made.spool, clock.nowMs, () => false), 2);
    const spool = await made.crash();
    assert.deepEqual(spool.readBatch(a.sequence), [failed]);
    await spool.record(failed, { ...failed, state: 'queued', finishedAt: null });
    assert.deepEqual(await readPayload(spool, failed), bytes);
    await deliver(spool, failed);
    assert.deepEqual(await payloadFiles(made.stateDir), []);
  });

  test(`after a power cut the jobs of a batch with a ${kind} payload are delivered again`, async (t) => {
    const made = await openSpool(t);
    const records = await acceptBatch(made.spool, inline);
    for (const record of records.slice(0, 2)) await deliver(made.spool, record);
    const spool = await made.crash({ bootId: 'boot-2' });
    assert.deepEqual(
      spool.redelivered,
      records.slice(0, 2).map(({ sequence }) => sequence),
    );
    assert.equal(spool.payloads.reclaimableBytes, 0);
    for (const record of spool.readBatch(one(records).sequence)) {
      assert.deepEqual(await readPayload(spool, record), bytes);
      await deliver(spool, record);
    }
    await spool.payloads.sweep(true);
    assert.deepEqual(await payloadFiles(made.stateDir), []);
    await fsckFindsNothing(made);
  });
}

test('a shared file counts as reclaimable once it only lingers, and is given up when room is needed', async (t) => {
  const made = await openSpool(t);
  const [a, b] = await acceptBatch(made.spool, false, ['c1', 'c2']);
  assert.ok(a && b);
  await deliver(made.spool, a);
  assert.equal(made.spool.payloads.reclaimableBytes, 0);
  assert.equal(await made.spool.payloads.makeRoom(), false);
  await deliver(made.spool, b);
  assert.equal(made.spool.payloads.reclaimableBytes, large.length);
  const spool = await made.crash();
  assert.equal(spool.payloads.reclaimableBytes, large.length);
  assert.equal(await spool.payloads.makeRoom(), true);
  assert.equal(spool.payloads.reclaimableBytes, 0);
  assert.deepEqual(await payloadFiles(made.stateDir), []);
});

test('an Idempotency-Key leads to the first job of one batch, at the same moment too', async (t) => {
  const made = await openSpool(t);
  const about = batchDraft(['c1', 'c2'], { idempotencyKey: 'key' });
  const [first, second] = await Promise.all([
    made.spool.acceptInline(about, small),
    made.spool.acceptInline(about, small),
  ]);
  assert.equal(first.sequence, second.sequence);
  assert.equal(first.batchRequest, 'request');
  const spool = await made.crash();
  assert.deepEqual(await spool.findByKey('key'), first);
  assert.equal(spool.live.size, 2);
  await fsckFindsNothing(made);
});

test('batches and jobs accepted together do not mix', async (t) => {
  const { spool } = await openSpool(t);
  const accepted = await Promise.all([
    spool.acceptInline(batchDraft(['c1', 'c2']), small),
    spool.acceptInline(draft(), small),
    spool.acceptInline(batchDraft(['c3', 'c4', 'c5']), small),
    spool.acceptInline(draft(), small),
  ]);
  assert.deepEqual(
    accepted.map(({ sequence }) => spool.readBatch(sequence).map(({ instance }) => instance)),
    [['c1', 'c2'], [], ['c3', 'c4', 'c5'], []],
  );
});

/** What may happen to one job of a batch, and what the end of the daemon leaves of it all. */
const steps = fc.array(
  fc.oneof(
    fc.record({
      job: fc.nat(2),
      to: fc.constantFrom('delivered', 'failed', 'cancelled', 'deferred', 'queued'),
    }),
    fc.constantFrom('crash', 'power cut', 'sweep'),
  ),
  { maxLength: 12 },
);

async function runSteps(
  t: TestContext,
  inline: boolean,
  todo: typeof steps extends fc.Arbitrary<infer T> ? T : never,
) {
  const made = await openSpool(t);
  const { sequence: batch } = one(await acceptBatch(made.spool, inline));
  const bytes = inline ? small : large;
  let boot = 1;
  for (const step of todo) {
    if (step === 'crash') await made.crash({ bootId: `boot-${boot}` });
    else if (step === 'power cut') {
      boot += 1;
      await made.crash({ bootId: `boot-${boot}` });
    } else if (step === 'sweep') await made.spool.payloads.sweep(true);
    else {
      const record = made.spool.readBatch(batch)[step.job];
      assert.ok(record);
      const finished = ['delivered', 'cancelled'].includes(record.state);
      if (finished || (step.to === 'queued') !== (record.state === 'failed')) continue;
      if (step.to === 'delivered') await deliver(made.spool, record);
      else if (step.to === 'queued')
        await made.spool.record(record, { ...record, state: 'queued', finishedAt: null });
      else await settle(made.spool, record, step.to);
    }
    const lingering = new Set(Array.from(made.spool.payloads.lingering(), ({ sequence }) => sequence));
    const needing = made.spool
      .readBatch(batch)
      .filter(({ state, sequence }) =>
        state === 'delivered' ? lingering.has(sequence) : state !== 'cancelled',
      );
    for (const record of needing) assert.deepEqual(await readPayload(made.spool, record), bytes);
    const files = readdirSync(join(made.stateDir, 'payloads'));
    const wanted = needing.filter(({ payloadFile }) => payloadFile !== 0).slice(0, 1);
    assert.deepEqual(
      files,
      wanted.map(({ payloadFile }) => payloadName(payloadFile)),
    );
  }
  await fsckFindsNothing(made);
}

for (const inline of [true, false]) {
  test(`a ${inline ? 'small' : 'large'} payload is there exactly as long as a job of its batch needs it`, async (t) => {
    await fc.assert(
      fc.asyncProperty(steps, (todo) => runSteps(t, inline, todo)),
      { numRuns: 25 },
    );
  });
}
