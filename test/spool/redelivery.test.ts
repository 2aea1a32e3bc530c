import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pathKeys } from '../../src/protocol/path-key.ts';
import { acceptFile, deliver, draft, openSpool, readPayload, settle } from './spool-builder.ts';

const bytes = Buffer.from('payload');

test('after a power cut what was delivered within the linger is queued again', async (t) => {
  const made = await openSpool(t);
  const inline = await deliver(made.spool, await made.spool.acceptInline(draft({ path: '/a' }), bytes));
  const file = await deliver(made.spool, await acceptFile(made.spool, draft({ path: '/b' }), bytes));
  const waiting = await made.spool.acceptInline(draft({ path: '/c' }), bytes);

  const spool = await made.crash({ bootId: 'boot-2' });
  assert.ok(spool.afterPowerCut);
  assert.deepEqual(spool.redelivered, [inline.sequence, file.sequence]);
  for (const { sequence } of [inline, file]) {
    const record = spool.read(sequence);
    assert.ok(record);
    assert.deepEqual(
      [record.state, record.deliveredPath, record.finishedAt, record.attempts],
      ['queued', null, null, 0],
    );
    assert.deepEqual(await readPayload(spool, record), bytes);
    // What the paths say of the job itself does not stand in its way.
    assert.ok(!spool.isOvertaken(pathKeys(record), sequence));
  }
  assert.equal(spool.live.size, 3);
  assert.equal(spool.live.ahead('default/c1', waiting.sequence), 2);
  assert.deepEqual(spool.countFinished(), { delivered: 0, failed: 0, cancelled: 0 });
  assert.deepEqual([...spool.journal.instances.getKeys({})], []);
  assert.deepEqual([...spool.payloads.lingering()], []);
  assert.equal(spool.payloads.reclaimableBytes, 0);

  // Delivered once more, everything is as before.
  for (const sequence of spool.redelivered) {
    const record = spool.read(sequence);
    assert.ok(record);
    await deliver(spool, record);
  }
  assert.equal([...spool.payloads.lingering()].length, 2);
  assert.equal(spool.countFinished().delivered, 2);
});

test('nothing is queued again after a kill, after an orderly reboot, or when the linger is over', async (t) => {
  const clock = { nowMs: 1_800_000_000_000 };
  const made = await openSpool(t, { nowMs: () => clock.nowMs });
  await deliver(made.spool, await made.spool.acceptInline(draft(), bytes));
  assert.deepEqual((await made.crash()).redelivered, []);
  assert.deepEqual((await made.reopen({ bootId: 'boot-2' })).redelivered, []);
  clock.nowMs += 60_001;
  await made.spool.payloads.sweep();
  const spool = await made.crash({ bootId: 'boot-3' });
  assert.ok(spool.afterPowerCut);
  assert.deepEqual(spool.redelivered, []);
  assert.equal(spool.countFinished().delivered, 1);
});

test('of several deliveries to one path only the last is queued again', async (t) => {
  const made = await openSpool(t);
  const { spool } = made;
  await deliver(spool, await spool.acceptInline(draft(), bytes));
  const last = await deliver(spool, await spool.acceptInline(draft({ path: '/srv/' }), bytes));
  const elsewhere = await deliver(spool, await spool.acceptInline(draft({ instance: 'c2' }), bytes));
  assert.deepEqual((await made.crash({ bootId: 'boot-2' })).redelivered, [last.sequence, elsewhere.sequence]);
});

test('of several deliveries to one path only the last is queued again, also without the index of paths', async (t) => {
  const made = await openSpool(t);
  const { spool } = made;
  await deliver(spool, await spool.acceptInline(draft(), bytes));
  const last = await deliver(spool, await spool.acceptInline(draft(), bytes));
  await spool.journal.write(() => {
    for (const key of pathKeys(last)) spool.journal.paths.remove(key);
  });
  assert.deepEqual((await made.crash({ bootId: 'boot-2' })).redelivered, [last.sequence]);
});

test('a file whose later job was delivered is left alone, even if that one lingers no more', async (t) => {
  const clock = { nowMs: 1_800_000_000_000 };
  const made = await openSpool(t, { nowMs: () => clock.nowMs });
  const older = await made.spool.acceptInline(draft(), bytes);
  const newer = await made.spool.acceptInline(draft(), bytes);
  // The clock was set back between the two, so the older one's linger ends last.
  await deliver(made.spool, older);
  clock.nowMs -= 100_000;
  await deliver(made.spool, newer);
  await made.spool.payloads.sweep();
  const [left] = [...made.spool.payloads.lingering()];
  assert.ok(left);
  await made.spool.journal.write(() =>
    made.spool.journal.linger.remove([clock.nowMs + 60_000, newer.sequence]),
  );
  assert.deepEqual((await made.crash({ bootId: 'boot-2' })).redelivered, []);
});

test('a file that a later unfinished job may replace is left alone', async (t) => {
  const cases = [
    ['/srv/file', '/srv/file', false],
    ['/srv/file', '/srv/', false],
    ['/srv/file', '/srv', false],
    ['/srv/file', '/srv/file2', true],
    ['/srv/file', '/srv/file/', true],
  ] as const;
  for (const [delivered, later, again] of cases) {
    const made = await openSpool(t);
    const record = await deliver(
      made.spool,
      await made.spool.acceptInline(draft({ path: delivered }), bytes),
    );
    await made.spool.acceptInline(draft({ path: later }), bytes);
    const { redelivered } = await made.crash({ bootId: 'boot-2' });
    assert.deepEqual(redelivered, again ? [record.sequence] : [], `${delivered} before ${later}`);
  }
});

test('an earlier unfinished job, and one of another instance or project, does not matter', async (t) => {
  const made = await openSpool(t);
  const { spool } = made;
  await settle(spool, await spool.acceptInline(draft(), bytes), 'deferred');
  const record = await deliver(spool, await spool.acceptInline(draft(), bytes));
  await spool.acceptInline(draft({ instance: 'c2' }), bytes);
  await spool.acceptInline(draft({ project: 'other' }), bytes);
  assert.deepEqual((await made.crash({ bootId: 'boot-2' })).redelivered, [record.sequence]);
});

test('a start that is killed before it has queued them again leaves that to the next one', async (t) => {
  const made = await openSpool(t);
  const record = await deliver(made.spool, await made.spool.acceptInline(draft(), bytes));
  const { journal } = made.spool;
  // What the journal holds when such a start dies: it has counted itself, no more.
  await journal.write(() => journal.meta.put('run', Buffer.from('2')));
  const spool = await made.crash({ bootId: 'boot-2' });
  assert.deepEqual(spool.redelivered, [record.sequence]);
  assert.equal(spool.run, 3);
  assert.deepEqual((await made.crash({ bootId: 'boot-2' })).redelivered, []);
  assert.equal(made.spool.live.size, 1);
});

test('an unreadable record neither stops the start nor is queued again', async (t) => {
  const made = await openSpool(t);
  const { spool } = made;
  const broken = await deliver(spool, await spool.acceptInline(draft({ path: '/a' }), bytes));
  const record = await deliver(spool, await spool.acceptInline(draft({ path: '/b' }), bytes));
  const unfinished = await spool.acceptInline(draft({ path: '/b' }), bytes);
  await spool.journal.write(() => {
    for (const { sequence } of [broken, unfinished]) spool.journal.jobs.put(sequence, Buffer.from('{'));
  });
  assert.deepEqual((await made.crash({ bootId: 'boot-2' })).redelivered, [record.sequence]);
});
