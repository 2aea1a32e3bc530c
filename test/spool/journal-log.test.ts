/** The journal with its log: what goes where, and what a start finds. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkSpool } from '../../src/spool/fsck.ts';
import type { Journal } from '../../src/spool/journal.ts';
import { JournalTree } from '../../src/spool/journal-tree.ts';
import { WriteAheadLog } from '../../src/spool/write-ahead-log.ts';
import { copyOf, openJournal, put } from './journal-builder.ts';
import { diskProblem, fillDisk, mountDisk } from './small-disk.ts';
import { draft, makeDirectory, openSpool } from './spool-builder.ts';

const MIB = 1 << 20;

function recordsOf(journal: Journal, directory: string): number {
  return WriteAheadLog.read(join(directory, 'journal'), journal.meta.get('log') as Buffer).length;
}

test('Journal.write() is in the log until lmdb is brought up to date, and then in lmdb', async (t) => {
  const directory = await makeDirectory(t);
  const journal = await openJournal(t, directory);
  await put(journal, 1);
  assert.equal(recordsOf(journal, directory), 1);
  await journal.checkpoint();
  const copy = await copyOf(t, directory);
  for (const name of ['log-0', 'log-1']) writeFileSync(join(copy, 'journal', name), '');
  const without = await openJournal(t, copy);
  assert.deepEqual(without.jobs.get(1), Buffer.alloc(10, 1));
});

test('Journal brings lmdb up to date by itself', async (t) => {
  const directory = await makeDirectory(t);
  const journal = await openJournal(t, directory);
  const commit = t.mock.method(JournalTree.prototype, 'commit');
  await put(journal, 1);
  assert.equal(commit.mock.callCount(), 0);
  const deadlineMs = Date.now() + 20_000;
  while (commit.mock.callCount() === 0) {
    assert.ok(Date.now() < deadlineMs);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

test('Journal.write() of more than the log takes goes to lmdb, in order with what is in the log', async (t) => {
  const directory = await makeDirectory(t);
  const journal = await openJournal(t, directory);
  for (let round = 0; round < 3; round += 1) {
    await put(journal, 1, 10);
    await put(journal, 2, 20);
    await journal.write(
      () => {
        journal.jobs.put(1, Buffer.alloc(700_000, round));
        journal.jobs.remove(2);
      },
      { bytes: 700_000 },
    );
    await put(journal, 3, 30 + round);
    for (const one of [journal, await openJournal(t, await copyOf(t, directory))]) {
      assert.deepEqual(one.jobs.get(1), Buffer.alloc(700_000, round));
      assert.equal(one.jobs.get(2), undefined);
      assert.equal(one.jobs.get(3)?.length, 30 + round);
    }
  }
});

test('Journal goes round its log many times, and every copy of it has all', async (t) => {
  const directory = await makeDirectory(t);
  const journal = await openJournal(t, directory);
  let key = 0;
  for (let round = 0; round < 4; round += 1) {
    const writes: Promise<void>[] = [];
    for (let i = 0; i < 60; i += 1) {
      key += 1;
      writes.push(put(journal, key, 100_000));
      if (i % 3 === 0) await Promise.all(writes);
    }
    await Promise.all(writes);
    const copy = await openJournal(t, await copyOf(t, directory));
    assert.equal(copy.jobs.count(), key);
  }
});

test('Journal.open() says so when a record of the log is missing', async (t) => {
  const directory = await makeDirectory(t);
  const journal = await openJournal(t, directory);
  for (const key of [1, 2, 3]) await put(journal, key);
  for (const [missing, refuses] of [
    [1, true],
    [2, true],
    // As after a power cut that came while it was written.
    [3, false],
  ] as const) {
    const copy = await copyOf(t, directory);
    const path = join(copy, 'journal', 'log-0');
    const bytes = readFileSync(path);
    bytes.fill(0xff, 4096 * (missing - 1) + 40, 4096 * missing);
    writeFileSync(path, bytes);
    if (!refuses) {
      assert.deepEqual([...(await openJournal(t, copy)).jobs.getKeys()], [1, 2]);
      continue;
    }
    const message = new RegExp(`record ${missing} is missing; check the disk`);
    await assert.rejects(openJournal(t, copy), { code: 'internal', message });
    renameSync(path, `${path}.aside`);
    assert.equal((await openJournal(t, copy)).jobs.count(), 0);
  }
});

test('Journal.open() never takes the bytes of a payload for a record', async (t) => {
  const directory = await makeDirectory(t);
  const journal = await openJournal(t, directory);
  // What somebody may know of a log: one of his own, with records that put a job under another number.
  const own = await makeDirectory(t);
  const log = await WriteAheadLog.open(own, WriteAheadLog.drawSalt());
  const forged: Buffer[] = [];
  for (let number = 1; number <= 12; number += 1) {
    const value = Buffer.from('forged');
    assert.ok(log.prepare(number, [{ table: 0, key: 666, id: 666, value }]));
    log.turn();
    await log.append();
    forged.push(readFileSync(join(own, number % 2 === 1 ? 'log-1' : 'log-0')).subarray(0, 4096));
  }
  log.close();
  // So long that the forged records stand at the beginning of blocks, behind what the journal puts before a payload.
  const lead = Buffer.alloc(4096 - 32 - 14);
  const payload = Buffer.concat([lead, ...forged]);
  await journal.write(() => journal.payloads.put(1, payload));
  const bytes = readFileSync(join(directory, 'journal', 'log-0'));
  assert.ok(bytes.subarray(4096).indexOf(forged[0] as Buffer) === 0, 'it stands where a record might');
  const copy = await openJournal(t, await copyOf(t, directory));
  assert.equal(copy.jobs.get(666), undefined);
  assert.deepEqual(copy.payloads.get(1), payload);
});

test('a journal without a log gets one, and then has another format', async (t) => {
  const directory = await makeDirectory(t);
  const old = await openJournal(t, directory, undefined, false);
  await old.write(() => {
    old.meta.put('format', Buffer.from('1'));
    old.jobs.put(1, Buffer.from('a'));
  });
  await old.close();
  const path = join(directory, 'journal');
  assert.ok(!existsSync(join(path, 'log-0')));
  const journal = await openJournal(t, directory);
  assert.equal(journal.meta.get('format')?.toString(), '2');
  assert.equal(journal.jobs.get(1)?.toString(), 'a');
  await put(journal, 2);
  assert.equal(recordsOf(journal, directory), 1);
});

test('checkSpool() makes no log, and reads one that is there', async (t) => {
  const made = await openSpool(t);
  await made.spool.acceptInline(draft(), Buffer.from('x'));
  const copy = await copyOf(t, made.stateDir);
  const check = { repair: false, nowMs: 0, onFinding: assert.fail };
  assert.equal((await checkSpool({ stateDir: copy, ...check })).jobs, 1);

  const directory = await makeDirectory(t);
  await (await openJournal(t, directory, undefined, false)).close();
  mkdirSync(join(directory, 'payloads'));
  await checkSpool({ stateDir: directory, ...check });
  assert.ok(!existsSync(join(directory, 'journal', 'log-0')));
});

const skip = diskProblem('tmpfs');

test('on a disk without room for a log the journal works without', { skip }, async (t) => {
  const directory = mountDisk(t, 'tmpfs', 32 * MIB);
  const old = await openJournal(t, directory, undefined, false);
  await put(old, 1);
  await old.close();
  const makeRoom = fillDisk(directory);
  const journal = await openJournal(t, directory);
  await put(journal, 2);
  assert.equal((await openJournal(t, await copyOf(t, directory))).jobs.count(), 2);
  await journal.close();
  makeRoom();
  await openJournal(t, directory);
  assert.equal(statSync(join(directory, 'journal', 'log-1')).size, 4 * MIB);
});
