import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { EarlyDelivery } from '../../src/queue/early-delivery.ts';
import type { QueueOptions } from '../../src/queue/queue-options.ts';
import type { Draft, Upload } from '../../src/spool/spool.ts';
import { draft } from '../spool/spool-builder.ts';
import { eventually, openQueue, type TestQueue } from './queue-builder.ts';

const FIRST = Buffer.alloc(100_000, 'a');
const SECOND = Buffer.alloc(50_000, 'b');
const WHOLE = Buffer.concat([FIRST, SECOND]);

type Begun = { made: TestQueue; about: Draft; upload: Upload; early: EarlyDelivery };

/** An upload of which the first part has arrived and is on its way into the instance. */
async function begin(t: TestContext, options: Partial<QueueOptions> = {}): Promise<Begun> {
  const made = await openQueue(t, options);
  const about = draft({ path: '/big' });
  const upload = await made.spool.openUpload();
  t.after(() => upload.writer.close());
  upload.writer.write(FIRST, () => undefined);
  const early = made.queue.beginEarly(about, upload);
  assert.ok(early !== undefined);
  await eventually(
    () => made.target.temporaries.size === 1,
    () => 'its temporary file is there',
  );
  return { made, about, upload, early };
}

/** The rest arrives, and payload and job are kept. */
async function accept({ made, about, upload }: Begun): Promise<number> {
  upload.writer.write(SECOND, () => undefined);
  await upload.writer.finish();
  return (await made.spool.acceptFile(about, upload)).sequence;
}

function admit({ made, early }: Begun, sequence: number): void {
  const record = made.spool.read(sequence);
  assert.ok(record !== undefined);
  made.queue.admitted(record, early);
}

test('EarlyDelivery delivers an upload while it arrives; it is to be seen only once it is accepted', async (t) => {
  const begun = await begin(t);
  const { made, early } = begun;
  const sequence = await accept(begun);
  await eventually(
    () => early.bytes === WHOLE.length,
    () => 'all bytes are there',
  );
  assert.equal(made.target.files.size, 0, 'it is to be seen before it is accepted');
  admit(begun, sequence);
  const job = await made.until(sequence, 'delivered');
  await early.settled;
  assert.equal(job.attempts, 1);
  assert.equal(job.bytesDelivered, WHOLE.length);
  assert.deepEqual(made.target.files.get('c1:/big'), WHOLE);
  assert.equal(made.target.calls.filter((call) => call.startsWith('deliver')).length, 1);
  assert.deepEqual(made.spool.temporaries.all(), []);
});

test('EarlyDelivery.abandon() leaves nothing, and is harmless twice', async (t) => {
  const { made, upload, early } = await begin(t);
  early.abandon();
  early.abandon();
  await early.settled;
  await upload.writer.abort();
  assert.equal(made.target.temporaries.size, 0);
  assert.equal(made.target.files.size, 0);
  assert.deepEqual(made.spool.temporaries.all(), []);
});

test('EarlyDelivery of an upload that stalls is given up; the job is delivered from the spool', async (t) => {
  const begun = await begin(t);
  await eventually(
    () => begun.early.ended,
    () => 'it is given up',
  );
  assert.equal(begun.made.target.temporaries.size, 0);
  const sequence = await accept(begun);
  admit(begun, sequence);
  const job = await begun.made.until(sequence, 'delivered');
  await begun.early.settled;
  assert.equal(job.attempts, 1);
  assert.deepEqual(begun.made.target.files.get('c1:/big'), WHOLE);
});

test('EarlyDelivery that fails after the job was accepted is an attempt like any other', async (t) => {
  const policy = { minDelayMs: 60_000, maxDelayMs: 60_000, slowDelayMs: 60_000 };
  const begun = await begin(t, { policy });
  const { made, early } = begun;
  made.target.behave('*', { fail: 'instance_disk_full', slow: true });
  const sequence = await accept(begun);
  admit(begun, sequence);
  const job = await made.until(sequence, 'deferred');
  assert.equal(job.attempts, 1);
  assert.equal(job.error?.code, 'instance_disk_full');
  made.target.behave('*', 'deliver');
  await made.queue.retry(sequence);
  await made.until(sequence, 'delivered');
  await early.settled;
  assert.deepEqual(made.target.files.get('c1:/big'), WHOLE);
  assert.equal(made.target.temporaries.size, 0);
});

test('EarlyDelivery whose temporary file stays has it removed by the janitor', async (t) => {
  const begun = await begin(t);
  const { made, early } = begun;
  made.target.behave('*', { fail: 'timed_out', temporaryLeft: true });
  const sequence = await accept(begun);
  admit(begun, sequence);
  await early.settled;
  made.target.behave('*', 'deliver');
  await made.until(sequence, 'delivered');
  await eventually(
    () => made.target.temporaries.size === 0 && made.spool.temporaries.all().length === 0,
    () => 'the janitor removes it',
  );
});

test('EarlyDelivery is the running attempt of its job: progress is shown, and it can be cancelled', async (t) => {
  const begun = await begin(t);
  const { made, early } = begun;
  made.target.behave('*', 'hold');
  const sequence = await accept(begun);
  admit(begun, sequence);
  const job = made.job(sequence);
  assert.equal(job.state, 'delivering');
  assert.equal(job.attempts, 1);
  await eventually(
    () => made.job(sequence).bytesDelivered === WHOLE.length,
    () => 'its progress is shown',
  );
  assert.equal((await made.queue.cancel(sequence)).state, 'cancelled');
  await early.settled;
  assert.equal(made.target.temporaries.size, 0);
  assert.equal(made.target.files.size, 0);
});

test('EarlyDelivery gives way to earlier jobs for its path that came meanwhile', async (t) => {
  const begun = await begin(t, { instanceConcurrency: 1 });
  const { made, early } = begun;
  const before = await made.push('/big', { bytes: 'before' });
  const sequence = await accept(begun);
  admit(begun, sequence);
  await early.settled;
  await made.until(before, 'delivered');
  await made.until(sequence, 'delivered');
  assert.deepEqual(made.target.log, ['c1:/big=before', 'c1:/big=aaaaaaaa']);
});

test('EarlyDelivery of one path by two uploads at once: both arrive, in the order accepted', async (t) => {
  const first = await begin(t);
  const { made, about } = first;
  const upload = await made.spool.openUpload();
  t.after(() => upload.writer.close());
  upload.writer.write(SECOND, () => undefined);
  const early = made.queue.beginEarly(about, upload);
  assert.ok(early !== undefined);
  await upload.writer.finish();
  const quicker = (await made.spool.acceptFile(about, upload)).sequence;
  admit({ made, about, upload, early }, quicker);
  const slower = await accept(first);
  admit(first, slower);
  await made.until(quicker, 'delivered');
  await made.until(slower, 'delivered');
  await Promise.all([early.settled, first.early.settled]);
  assert.deepEqual(made.target.log, ['c1:/big=bbbbbbbb', 'c1:/big=aaaaaaaa']);
  assert.equal(made.target.temporaries.size, 0);
});

test('Queue.beginEarly() begins nothing while there is no place, the path is taken, or Incus is away', async (t) => {
  const made = await openQueue(t, { concurrency: 2, instanceConcurrency: 1 });
  const upload = await made.spool.openUpload();
  t.after(() => upload.writer.close());
  made.target.behave('*', 'hold');
  await made.pushFile('/x');
  assert.equal(made.queue.beginEarly(draft(), upload), undefined, 'the instance has no place');
  await made.pushFile('/x', { instance: 'c2' });
  assert.equal(
    made.queue.beginEarly(draft({ instance: 'c3' }), upload),
    undefined,
    'there is no place at all',
  );
  made.target.behave('*', 'deliver');
  await eventually(
    () => made.spool.live.size === 0,
    () => 'both are delivered',
  );
  made.queue.circuit.open('away');
  assert.equal(made.queue.beginEarly(draft(), upload), undefined, 'Incus is away');
  await made.queue.circuit.ask();
  made.queue.pause();
  assert.equal(made.queue.beginEarly(draft(), upload), undefined, 'the queue stops');
});
