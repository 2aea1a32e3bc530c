import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { encodeBatchId } from '../../src/protocol/batch-id.ts';
import { encodeJobId } from '../../src/protocol/job-id.ts';
import type { JobRecord } from '../../src/spool/job-record.ts';
import { encodeNumbers } from '../../src/spool/number-codec.ts';
import { payloadName } from '../../src/spool/recovery.ts';
import { Spool } from '../../src/spool/spool.ts';
import { check, lostAndFound } from './fsck-builder.ts';
import {
  acceptFile,
  deliver,
  draft,
  openSpool,
  payloadFiles,
  readPayload,
  settle,
  spoolOptions,
} from './spool-builder.ts';

const bytes = Buffer.from('payload of a batch');
const sha256 = createHash('sha256').update(bytes).digest('hex');

type Members = { queued: JobRecord; failed: JobRecord; lingering: JobRecord; cancelled: JobRecord };

/** Damages a batch with a job of every kind; checks what is found, that only the repair changes it, and then no more is. */
async function damage(
  t: TestContext,
  inline: boolean,
  harm: (spool: Spool, members: Members, stateDir: string) => unknown,
  expected: (members: Members) => [string, number | null][],
): Promise<{ spool: Spool; members: Members; stateDir: string }> {
  const made = await openSpool(t);
  const { stateDir, spool } = made;
  const destinations = ['c1', 'c2', 'c3', 'c4'].map((instance) => ({
    instance,
    path: '/f',
    sourceName: 'f',
  }));
  const about = draft({ sha256, batch: { destinations, request: 'request' } });
  const first = inline ? await spool.acceptInline(about, bytes) : await acceptFile(spool, about, bytes);
  const [queued, b, c, d] = spool.readBatch(first.sequence);
  assert.ok(queued && b && c && d);
  const members = {
    queued,
    failed: await settle(spool, b, 'failed'),
    lingering: await deliver(spool, c),
    cancelled: await settle(spool, d, 'cancelled'),
  };
  await harm(spool, members, stateDir);
  await spool.close();
  const wanted = expected(members).map(([kind, sequence]) => [
    kind,
    sequence === null ? null : encodeJobId(sequence),
  ]);
  const told = async (repair: boolean) => (await check(stateDir, repair)).map(({ kind, job }) => [kind, job]);
  assert.deepEqual(await told(false), wanted);
  assert.deepEqual(lostAndFound(stateDir), []);
  assert.deepEqual(await told(true), wanted);
  assert.deepEqual(await told(false), []);
  made.spool = await Spool.open(spoolOptions(stateDir));
  return { spool: made.spool, members, stateDir };
}

const fileOf = (stateDir: string, { payloadFile }: JobRecord): string =>
  join(stateDir, 'payloads', payloadName(payloadFile));
const needing = ({ queued, failed, lingering }: Members): number[] =>
  [queued, failed, lingering].map(({ sequence }) => sequence);

for (const inline of [true, false]) {
  const kind = inline ? 'small' : 'large';

  test(`nothing is found in a batch with a ${kind} payload that is as it should be`, async (t) => {
    const { spool, members } = await damage(
      t,
      inline,
      () => undefined,
      () => [],
    );
    assert.deepEqual(await readPayload(spool, members.failed), bytes);
  });

  test(`jobs that miss among those that need a ${kind} payload are put back`, async (t) => {
    const { spool, members, stateDir } = await damage(
      t,
      inline,
      ({ journal }, { queued, failed }) =>
        journal.write(() => {
          for (const { sequence } of [queued, failed]) journal.batches.remove([queued.sequence, sequence]);
        }),
      ({ queued, failed }) => [
        ['batch_entry', queued.sequence],
        ['batch_entry', failed.sequence],
      ],
    );
    await deliver(spool, members.queued);
    await spool.payloads.sweep(true);
    assert.deepEqual(await readPayload(spool, members.failed), bytes);
    assert.equal((await payloadFiles(stateDir)).length, inline ? 0 : 1);
  });

  test(`a job that needs the ${kind} payload no more is taken out`, async (t) => {
    const { spool, members, stateDir } = await damage(
      t,
      inline,
      ({ journal }, { queued, cancelled }) =>
        journal.write(() => journal.batches.put([queued.sequence, cancelled.sequence], Buffer.alloc(0))),
      ({ cancelled }) => [['batch_entry', cancelled.sequence]],
    );
    await settle(spool, members.queued, 'cancelled');
    await spool.payloads.sweep(true);
    await spool.record(members.failed, { ...members.failed, state: 'queued', finishedAt: null });
    await deliver(spool, members.failed);
    await spool.payloads.sweep(true);
    // The payload's own entry goes in a commit that nobody waits for; a later one comes after it.
    await spool.journal.write(() => undefined);
    assert.deepEqual([...spool.journal.batches.getKeys({})], []);
    assert.deepEqual(await payloadFiles(stateDir), []);
  });

  test(`a record that cannot be read takes the ${kind} payload from nobody`, async (t) => {
    const { spool, members, stateDir } = await damage(
      t,
      inline,
      ({ journal }, { queued }) => journal.write(() => journal.jobs.put(queued.sequence, Buffer.from('{}'))),
      ({ queued }) => [['unreadable_record', queued.sequence]],
    );
    assert.deepEqual(lostAndFound(stateDir), [`${encodeJobId(members.queued.sequence)}.record`]);
    assert.deepEqual(await readPayload(spool, members.failed), bytes);
    assert.equal(spool.live.size, 0);
  });

  test(`a damaged ${kind} payload is put aside once, and every job that needs it fails`, async (t) => {
    const wrong = Buffer.from('payload of a bAtch');
    const { spool, members, stateDir } = await damage(
      t,
      inline,
      ({ journal }, { queued }, directory) =>
        inline
          ? journal.write(() =>
              journal.batches.put(
                [queued.sequence, 0],
                Buffer.concat([encodeNumbers(0, bytes.length), wrong]),
              ),
            )
          : writeFileSync(fileOf(directory, queued), wrong),
      (all) => needing(all).map((sequence) => ['payload_damaged', sequence]),
    );
    const name = `${encodeBatchId(members.queued.sequence)}.payload`;
    assert.deepEqual(lostAndFound(stateDir), [name]);
    assert.deepEqual(readFileSync(join(stateDir, 'lost+found', name)), wrong);
    for (const { sequence } of [members.queued, members.failed])
      assert.equal(spool.read(sequence)?.error?.code, 'payload_lost');
    assert.equal(spool.read(members.lingering.sequence)?.state, 'delivered');
    assert.deepEqual([...spool.journal.batches.getKeys({})], []);
    assert.equal(spool.live.size, 0);
  });

  test(`a missing ${kind} payload fails every job that needs it`, async (t) => {
    const { spool } = await damage(
      t,
      inline,
      ({ journal }, { queued }, directory) =>
        inline
          ? journal.write(() => journal.batches.remove([queued.sequence, 0]))
          : unlinkSync(fileOf(directory, queued)),
      (all) => needing(all).map((sequence) => ['payload_missing', sequence]),
    );
    assert.deepEqual([...spool.journal.batches.getKeys({})], []);
  });
}

test('a short file is damage to every job that needs it', async (t) => {
  await damage(
    t,
    false,
    (_spool, { queued }, directory) => truncateSync(fileOf(directory, queued), 3),
    (all) => needing(all).map((sequence) => ['payload_damaged', sequence]),
  );
});

test('an entry that does not tell the file of a batch is written anew', async (t) => {
  const { spool, members } = await damage(
    t,
    false,
    ({ journal }, { queued }) => journal.write(() => journal.batches.remove([queued.sequence, 0])),
    ({ queued }) => [['batch_entry', queued.sequence]],
  );
  assert.deepEqual(await readPayload(spool, members.queued), bytes);
  await settle(spool, members.queued, 'cancelled');
  assert.equal(spool.payloads.shared.has(members.failed.sequence), true);
});

test('a small payload that no job needs is put aside', async (t) => {
  const { stateDir } = await damage(
    t,
    true,
    ({ journal }) =>
      journal.write(() =>
        journal.batches.put([7, 0], Buffer.concat([encodeNumbers(0, 1), Buffer.from('x')])),
      ),
    () => [['orphan_payload', null]],
  );
  assert.deepEqual(lostAndFound(stateDir), [`${encodeBatchId(7)}.payload`]);
});
