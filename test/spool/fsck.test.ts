import assert from 'node:assert/strict';
import { readdirSync, readFileSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodeJobId } from '../../src/protocol/job-id.ts';
import { keyOfPath } from '../../src/protocol/path-key.ts';
import { encodeNumbers } from '../../src/spool/number-codec.ts';
import { payloadName } from '../../src/spool/recovery.ts';
import { Spool } from '../../src/spool/spool.ts';
import { bytes, check, damage, fill, lostAndFound } from './fsck-builder.ts';
import { draft, makeDirectory, openSpool, payloadFiles, readPayload, spoolOptions } from './spool-builder.ts';

test('checkSpool() finds nothing in a spool that is as it should be', async (t) => {
  const { spool, jobs } = await damage(
    t,
    () => undefined,
    () => [],
  );
  for (const record of [jobs.inline, jobs.file, jobs.deferred, jobs.failed])
    assert.deepEqual(await readPayload(spool, record), bytes);
});

test('checkSpool() finds nothing in a spool after a power cut has made it deliver again', async (t) => {
  const made = await openSpool(t);
  await fill(made.spool);
  await made.crash({ bootId: 'boot-2' });
  await made.spool.close();
  assert.deepEqual(await check(made.stateDir, false), []);
});

test('checkSpool() is refused while a daemon has the directory, and where there is no spool', async (t) => {
  const { stateDir } = await openSpool(t);
  await assert.rejects(check(stateDir, true), { code: 'config_invalid', message: /Another incus-uploadd/ });
  const empty = await makeDirectory(t);
  await assert.rejects(check(empty, false), { code: 'config_invalid', message: /There is no spool in/ });
  assert.deepEqual(readdirSync(empty), []);
});

test('a record that cannot be read is put aside with its payload', async (t) => {
  const { stateDir, spool, jobs } = await damage(
    t,
    ({ journal }, { inline, file }) =>
      journal.write(() => {
        for (const { sequence } of [inline, file]) journal.jobs.put(sequence, Buffer.from('{"v":9}'));
      }),
    ({ inline, file }) => [
      ['unreadable_record', inline],
      ['unreadable_record', file],
      ['key_entry', file],
      ['key_entry', inline],
    ],
  );
  for (const record of [jobs.inline, jobs.file]) {
    const path = join(stateDir, 'lost+found', encodeJobId(record.sequence));
    assert.deepEqual(readFileSync(`${path}.payload`), bytes);
    assert.equal(readFileSync(`${path}.record`, 'utf8'), '{"v":9}');
    assert.equal(spool.read(record.sequence), undefined);
  }
  assert.equal(spool.live.size, 1);
});

test('an unfinished job without its entry gets one, and is delivered after all', async (t) => {
  const { spool, jobs } = await damage(
    t,
    ({ journal }, { inline, file, deferred }) =>
      journal.write(() => {
        for (const { sequence } of [inline, file]) journal.live.remove(sequence);
        journal.live.put(deferred.sequence, encodeNumbers(0, 0, 0));
      }),
    ({ inline, file, deferred }) => [
      ['live_entry', inline],
      ['live_entry', file],
      ['live_entry', deferred],
    ],
  );
  assert.equal(spool.live.size, 3);
  assert.ok(spool.live.deferred.has(jobs.deferred.sequence));
  assert.deepEqual(await readPayload(spool, jobs.file), bytes);
});

test('entries of finished or unknown jobs among the unfinished ones are removed', async (t) => {
  const { spool } = await damage(
    t,
    ({ journal }, { inline, cancelled }) =>
      journal.write(() => {
        const value = Buffer.from(journal.live.get(inline.sequence) as Buffer);
        for (const sequence of [32, cancelled.sequence]) journal.live.put(sequence, value);
      }),
    ({ cancelled }) => [
      ['live_entry', { ...cancelled, sequence: 32 }],
      ['live_entry', cancelled],
    ],
  );
  assert.equal(spool.live.size, 3);
});

test('tables of finished jobs are made to match the records', async (t) => {
  const { spool } = await damage(
    t,
    ({ journal }, { failed, gone, cancelled }) =>
      journal.write(() => {
        journal.failed.remove(failed.sequence);
        journal.failed.put(gone.sequence, encodeNumbers(1, 0));
        journal.cancelled.put(cancelled.sequence, encodeNumbers(1, 0));
        journal.instances.remove(['c1', 'default', cancelled.sequence]);
        journal.instances.put(['c2', 'default', cancelled.sequence], Buffer.alloc(0));
      }),
    ({ failed, gone, cancelled }) => [
      ['finished_entry', failed],
      ['finished_entry', cancelled],
      ['instance_entry', cancelled],
      ['finished_entry', gone],
      ['instance_entry', cancelled],
    ],
  );
  assert.deepEqual(spool.countFinished(), { delivered: 2, failed: 1, cancelled: 1 });
});

test('indexes of paths and of Idempotency-Keys are made to match the records', async (t) => {
  const { spool, jobs } = await damage(
    t,
    ({ journal }, { file, gone, lingering }) =>
      journal.write(() => {
        journal.paths.remove(keyOfPath(gone, '/gone'));
        journal.paths.put(keyOfPath(lingering, '/lingering'), encodeNumbers(32));
        journal.keys.put('inline', encodeNumbers(file.sequence));
        journal.keys.put('stray', encodeNumbers(file.sequence));
      }),
    ({ inline, file, gone, lingering }) => [
      ['key_entry', inline],
      ['path_entry', gone],
      ['path_entry', lingering],
      ['key_entry', file],
    ],
  );
  assert.ok(spool.isOvertaken([keyOfPath(jobs.gone, '/gone')], jobs.gone.sequence - 1));
  assert.ok(spool.isOvertaken([keyOfPath(jobs.gone, '/lingering')], jobs.lingering.sequence - 1));
  assert.deepEqual(await spool.findByKey('inline'), jobs.inline);
  assert.equal(spool.findByKey('stray'), undefined);
});

test('a lingering payload of no delivered job lingers no more', async (t) => {
  const { spool } = await damage(
    t,
    ({ journal }) => journal.write(() => journal.linger.put([Date.now(), 32], encodeNumbers(7, 100))),
    ({ inline }) => [['linger_entry', { ...inline, sequence: 32 }]],
  );
  assert.equal([...spool.payloads.lingering()].length, 1);
});

test('a job whose payload is missing fails with payload_lost; one that was delivered just lingers no more', async (t) => {
  const { spool, jobs, stateDir } = await damage(
    t,
    async ({ journal }, { inline, file, failed, lingering }, directory) => {
      await journal.write(() => journal.payloads.remove(inline.sequence));
      for (const { payloadFile } of [file, failed, lingering])
        unlinkSync(join(directory, 'payloads', payloadName(payloadFile)));
    },
    ({ inline, file, failed, lingering }) => [
      ['payload_missing', inline],
      ['payload_missing', file],
      ['payload_missing', failed],
      ['payload_missing', lingering],
    ],
  );
  for (const { sequence } of [jobs.inline, jobs.file, jobs.failed]) {
    const record = spool.read(sequence);
    assert.deepEqual([record?.state, record?.error?.code], ['failed', 'payload_lost']);
    assert.match(record?.error?.message ?? '', /missing/);
  }
  assert.equal(spool.read(jobs.lingering.sequence)?.state, 'delivered');
  assert.deepEqual([...spool.payloads.lingering()], []);
  assert.equal(spool.live.size, 1);
  assert.deepEqual(lostAndFound(stateDir), []);
});

test('a payload that is short or changed is put aside', async (t) => {
  const { spool, jobs, stateDir } = await damage(
    t,
    async ({ journal }, { inline, file, failed, lingering }, directory) => {
      await journal.write(() => journal.payloads.put(inline.sequence, Buffer.from('PAYLOAD')));
      truncateSync(join(directory, 'payloads', payloadName(file.payloadFile)), 3);
      writeFileSync(join(directory, 'payloads', payloadName(failed.payloadFile)), 'PAYLOAD');
      writeFileSync(join(directory, 'payloads', payloadName(lingering.payloadFile)), 'PAYLOAD');
    },
    ({ inline, file, failed, lingering }) => [
      ['payload_damaged', inline],
      ['payload_damaged', file],
      ['payload_damaged', failed],
      ['payload_damaged', lingering],
    ],
  );
  const expected = [jobs.inline, jobs.file, jobs.failed, jobs.lingering];
  assert.deepEqual(
    lostAndFound(stateDir),
    expected.map(({ sequence }) => `${encodeJobId(sequence)}.payload`).sort(),
  );
  assert.equal(
    readFileSync(join(stateDir, 'lost+found', `${encodeJobId(jobs.file.sequence)}.payload`), 'utf8'),
    'pay',
  );
  assert.match(spool.read(jobs.file.sequence)?.error?.message ?? '', /has 3 bytes instead of 7/);
  assert.match(spool.read(jobs.inline.sequence)?.error?.message ?? '', /SHA-256/);
  assert.deepEqual(await payloadFiles(stateDir), []);
});

test('payloads that no job knows are put aside, never over one another', async (t) => {
  const { stateDir, jobs } = await damage(
    t,
    async ({ journal }, { cancelled }, directory) => {
      await journal.write(() => {
        journal.payloads.put(32, bytes);
        journal.payloads.put(cancelled.sequence, bytes);
      });
      writeFileSync(join(directory, 'payloads', payloadName(1234)), 'orphan');
      writeFileSync(join(directory, 'payloads', 'notes'), 'what is this');
    },
    ({ cancelled }) => [
      ['unknown_file', null],
      ['orphan_payload', null],
      ['orphan_payload', { ...cancelled, sequence: 32 }],
      ['orphan_payload', cancelled],
    ],
  );
  assert.deepEqual(
    lostAndFound(stateDir),
    [
      `${encodeJobId(32)}.payload`,
      `${encodeJobId(jobs.cancelled.sequence)}.payload`,
      'notes',
      payloadName(1234),
    ].sort(),
  );
});

test('a second thing of the same name gets another one in lost+found', async (t) => {
  const made = await openSpool(t);
  await made.spool.close();
  for (const text of ['one', 'two']) {
    writeFileSync(join(made.stateDir, 'payloads', 'notes'), text);
    assert.equal((await check(made.stateDir, true)).length, 1);
  }
  assert.deepEqual(lostAndFound(made.stateDir), ['notes', 'notes.1']);
  assert.equal(readFileSync(join(made.stateDir, 'lost+found', 'notes.1'), 'utf8'), 'two');
});

test('the number of a job that was put aside is not given out again', async (t) => {
  const clock = { nowMs: 1_800_000_000_000 };
  const made = await openSpool(t, { nowMs: () => clock.nowMs });
  const { sequence } = await made.spool.acceptInline(draft(), bytes);
  await made.spool.journal.write(() => made.spool.journal.jobs.put(sequence, Buffer.from('{')));
  await made.spool.close();
  await check(made.stateDir, true);
  clock.nowMs -= 1e9;
  made.spool = await Spool.open(spoolOptions(made.stateDir, { nowMs: () => clock.nowMs }));
  assert.ok((await made.spool.acceptInline(draft(), bytes)).sequence > sequence);
});
