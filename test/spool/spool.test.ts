import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathKeys } from '../../src/protocol/path-key.ts';
import { payloadName } from '../../src/spool/recovery.ts';
import { forgetOldJobs } from '../../src/spool/retention.ts';
import { Spool } from '../../src/spool/spool.ts';
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

const bytes = Buffer.from('payload');
const START_MS = 1_800_000_000_000;

test('accepted jobs are there after a crash, with their payloads and in their lanes', async (t) => {
  const made = await openSpool(t);
  const records = [
    await made.spool.acceptInline(draft(), bytes),
    await acceptFile(made.spool, draft({ instance: 'c2' }), Buffer.alloc(3 << 20, 'x')),
    await made.spool.acceptInline(draft({ project: 'other' }), Buffer.alloc(0)),
    await settle(made.spool, await made.spool.acceptInline(draft(), bytes), 'deferred'),
  ];
  const spool = await made.crash();
  for (const record of records) {
    assert.deepEqual(spool.read(record.sequence), record);
    assert.equal((await readPayload(spool, record)).length, record.size);
  }
  assert.deepEqual([...spool.live.lanes()].sort(), ['default/c1', 'default/c2', 'other/c1']);
  assert.equal(spool.live.size, 4);
  assert.equal(spool.live.ahead('default/c1', records[3]?.sequence ?? 0), 1);
  assert.ok(spool.live.deferred.has(records[3]?.sequence ?? 0));
  assert.equal(spool.live.deferred.size, 1);
});

test('half-received payloads are removed at the next start, kept ones are not', async (t) => {
  const made = await openSpool(t);
  const kept = await acceptFile(made.spool, draft(), bytes);
  const failed = await settle(made.spool, await acceptFile(made.spool, draft(), bytes), 'failed');
  const lingering = await deliver(made.spool, await acceptFile(made.spool, draft(), bytes));
  const half = await made.spool.openUpload();
  half.writer.write(Buffer.alloc(2 << 20), () => undefined);
  const finished = await made.spool.openUpload();
  finished.writer.write(bytes, () => undefined);
  await finished.writer.finish();
  writeFileSync(join(made.stateDir, 'payloads', 'note.txt'), 'not ours');

  await made.crash();
  const expected = [kept, failed, lingering].map(({ payloadFile }) => payloadName(payloadFile));
  assert.deepEqual(await payloadFiles(made.stateDir), [...expected, 'note.txt'].sort());
  await Promise.all([half.writer.abort(), finished.writer.abort()]);
});

test('Spool.open() is refused while another has the directory, and leaves it alone', async (t) => {
  const { stateDir, spool } = await openSpool(t);
  const upload = await spool.openUpload();
  await assert.rejects(Spool.open(spoolOptions(stateDir)), { code: 'config_invalid' });
  assert.ok(existsSync(upload.writer.path));
  await upload.writer.abort();
});

test('numbers of jobs and of payload files only grow, with the clock set back, over crashes, after forgetting', async (t) => {
  const clock = { nowMs: START_MS };
  const made = await openSpool(t, { nowMs: () => clock.nowMs, lingerMs: 0 });
  let last = 0;
  const next = async (): Promise<void> => {
    const { spool } = made;
    const upload = await spool.openUpload();
    await upload.writer.finish();
    assert.ok(upload.number > last, `file ${upload.number} after ${last}`);
    const record = await spool.acceptFile(draft(), upload);
    assert.ok(record.sequence > upload.number);
    last = record.sequence;
    await upload.writer.close();
    await deliver(spool, record);
  };
  await next();
  clock.nowMs -= 1e9;
  await next();
  await made.crash();
  await next();
  clock.nowMs = START_MS + 1;
  await forgetOldJobs(made.spool, START_MS + 1e6, () => false);
  assert.deepEqual([...made.spool.journal.jobs.getKeys({ start: 0 })], []);
  clock.nowMs -= 1e9;
  await made.crash();
  await next();
  await made.reopen();
  await next();
});

test('the number of an upload that was cut off is not used again', async (t) => {
  const clock = { nowMs: START_MS };
  const made = await openSpool(t, { nowMs: () => clock.nowMs });
  const cut = await made.spool.openUpload();
  clock.nowMs -= 1e9;
  const spool = await made.crash();
  const upload = await spool.openUpload();
  assert.ok(upload.number > cut.number);
  await Promise.all([cut.writer.abort(), upload.writer.abort()]);
});

test('an Idempotency-Key leads to one job, at the same moment too', async (t) => {
  const made = await openSpool(t);
  const about = draft({ idempotencyKey: 'key' });
  const [first, second] = await Promise.all([
    made.spool.acceptInline(about, bytes),
    made.spool.acceptInline(about, bytes),
  ]);
  assert.equal(first.sequence, second.sequence);
  assert.equal((await acceptFile(made.spool, about, bytes)).sequence, first.sequence);
  const spool = await made.crash();
  assert.deepEqual(await spool.findByKey('key'), first);
  assert.equal(spool.findByKey('other'), undefined);
  assert.equal(spool.live.size, 1);
});

test('Spool.isOvertaken() speaks of later jobs only', async (t) => {
  const { spool } = await openSpool(t);
  const older = await spool.acceptInline(draft({ path: '/srv/' }), bytes);
  const newer = await deliver(spool, await spool.acceptInline(draft(), bytes));
  assert.ok(spool.isOvertaken(pathKeys(older), older.sequence));
  assert.ok(!spool.isOvertaken(pathKeys(newer), newer.sequence));
  assert.ok(!spool.isOvertaken(pathKeys(draft({ path: '/else' })), older.sequence));
});

test('Spool.isOvertaken() knows of a delivery that is being written down', async (t) => {
  const { spool } = await openSpool(t);
  const older = await spool.acceptInline(draft(), bytes);
  const delivering = deliver(spool, await spool.acceptInline(draft(), bytes));
  assert.ok(spool.isOvertaken(pathKeys(older), older.sequence));
  await delivering;
});

test('Spool.record() keeps tables and counts in step', async (t) => {
  const made = await openSpool(t);
  const check = (spool: Spool): void => {
    assert.deepEqual(spool.countFinished(), { delivered: 1, failed: 1, cancelled: 1 });
    assert.equal(spool.live.size, 1);
    assert.equal([...spool.journal.live.getKeys({ start: 0 })].length, 1);
    assert.equal([...spool.journal.instances.getKeys({})].length, 3);
  };
  const [a, b, c, d] = await Promise.all([1, 2, 3, 4].map(() => made.spool.acceptInline(draft(), bytes)));
  assert.ok(a && b && c && d);
  await deliver(made.spool, await settle(made.spool, a, 'deferred'));
  const failed = await settle(made.spool, b, 'failed');
  await settle(made.spool, c, 'cancelled');
  await settle(made.spool, d, 'failed');
  await made.spool.record(failed, { ...failed, state: 'queued', finishedAt: null });
  check(made.spool);
  check(await made.crash());
});
