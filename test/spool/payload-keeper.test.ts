import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceptFile, deliver, draft, openSpool, payloadFiles, readPayload, settle } from './spool-builder.ts';

const bytes = Buffer.from('payload');

test('PayloadKeeper.open() reads payloads of the journal and of files', async (t) => {
  const { spool } = await openSpool(t);
  for (const content of [Buffer.alloc(0), bytes]) {
    assert.deepEqual(await readPayload(spool, await spool.acceptInline(draft(), content)), content);
    assert.deepEqual(await readPayload(spool, await acceptFile(spool, draft(), content)), content);
  }
});

test('PayloadKeeper.open() says payload_lost when it is not there in full', async (t) => {
  const { spool } = await openSpool(t);
  const inline = await spool.acceptInline(draft(), bytes);
  await assert.rejects(spool.payloads.open({ ...inline, size: 99 }), { code: 'payload_lost' });
  await assert.rejects(spool.payloads.open({ ...inline, sequence: 1 }), { code: 'payload_lost' });
  await assert.rejects(spool.payloads.open({ ...inline, payloadFile: 12 }), { code: 'payload_lost' });
});

test('a delivered payload lingers, over restarts too, and goes when its time is over', async (t) => {
  const clock = { nowMs: 1_800_000_000_000 };
  const made = await openSpool(t, { nowMs: () => clock.nowMs });
  const file = await deliver(made.spool, await acceptFile(made.spool, draft(), bytes));
  const inline = await deliver(made.spool, await made.spool.acceptInline(draft({ path: '/other' }), bytes));
  assert.equal(made.spool.payloads.reclaimableBytes, bytes.length);

  clock.nowMs += 59_999;
  let spool = await made.crash();
  assert.equal(await spool.payloads.sweep(), false);
  assert.equal(spool.payloads.reclaimableBytes, bytes.length);
  assert.deepEqual(await readPayload(spool, file), bytes);
  assert.deepEqual(await readPayload(spool, inline), bytes);

  clock.nowMs += 2;
  spool = await made.crash();
  assert.equal(await spool.payloads.sweep(), true);
  assert.equal(spool.payloads.reclaimableBytes, 0);
  assert.deepEqual(await payloadFiles(made.stateDir), []);
  await assert.rejects(spool.payloads.open(inline), { code: 'payload_lost' });
  assert.deepEqual([...spool.payloads.lingering()], []);
});

test('PayloadKeeper sweeps by itself', async (t) => {
  const { spool, stateDir } = await openSpool(t, { lingerMs: 10 });
  await deliver(spool, await acceptFile(spool, draft(), bytes));
  const deadlineMs = Date.now() + 10_000;
  while ((await payloadFiles(stateDir)).length > 0) {
    assert.ok(Date.now() < deadlineMs);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

test('PayloadKeeper.makeRoom() gives up everything that lingers, in many commits', async (t) => {
  const { spool, stateDir } = await openSpool(t);
  const records = await Promise.all(
    Array.from({ length: 2300 }, (_, i) => spool.acceptInline(draft({ path: `/p${i}` }), bytes)),
  );
  await Promise.all(records.map((record) => deliver(spool, record)));
  const files = await Promise.all([1, 2, 3].map((n) => acceptFile(spool, draft({ path: `/f${n}` }), bytes)));
  for (const file of files.slice(0, 2)) await deliver(spool, file);
  assert.deepEqual(
    await Promise.all([spool.payloads.makeRoom(), spool.payloads.makeRoom()]),
    [true, true],
    'whoever asks while room is made is told so',
  );
  assert.deepEqual([...spool.payloads.lingering()], []);
  assert.deepEqual([...spool.journal.payloads.getKeys({ start: 0 })], []);
  assert.equal((await payloadFiles(stateDir)).length, 1, 'the payload of the unfinished job stays');
  assert.equal(spool.payloads.reclaimableBytes, 0);
});

test('without a linger payloads go at once', async (t) => {
  const { spool, stateDir } = await openSpool(t, { lingerMs: 0 });
  await deliver(spool, await acceptFile(spool, draft(), bytes));
  const inline = await deliver(spool, await spool.acceptInline(draft(), bytes));
  assert.deepEqual(await payloadFiles(stateDir), []);
  assert.equal(spool.journal.payloads.get(inline.sequence), undefined);
});

test('a cancelled payload goes at once, a failed one stays', async (t) => {
  const made = await openSpool(t);
  const cancelled = await acceptFile(made.spool, draft(), bytes);
  const failed = await acceptFile(made.spool, draft(), bytes);
  const failedInline = await made.spool.acceptInline(draft(), bytes);
  await settle(made.spool, cancelled, 'cancelled');
  for (const record of [failed, failedInline]) await settle(made.spool, record, 'failed');
  const spool = await made.crash();
  assert.equal((await payloadFiles(made.stateDir)).length, 1);
  for (const record of [failed, failedInline]) assert.deepEqual(await readPayload(spool, record), bytes);
});
