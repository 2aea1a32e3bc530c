/** The journal with its log: what goes where, and what happens when one of the two cannot be written. */
import assert from 'node:assert/strict';
import fs, {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Ballast } from '../../src/spool/ballast.ts';
import { checkSpool } from '../../src/spool/fsck.ts';
import { Journal } from '../../src/spool/journal.ts';
import { JournalTree } from '../../src/spool/journal-tree.ts';
import { WriteAheadLog } from '../../src/spool/write-ahead-log.ts';
import { releaseAfter } from '../support/release-after.ts';
import { systemError } from './replaced-disk.ts';
import { diskProblem, fillDisk, mountDisk } from './small-disk.ts';
import { draft, makeDirectory, openSpool } from './spool-builder.ts';

const MIB = 1 << 20;
const DISK_LOW = { code: 'disk_low' };

async function openJournal(
  t: TestContext,
  directory: string,
  onBroken = (error: Error): void => assert.fail(error),
  log = true,
): Promise<Journal> {
  const options = { ballast: new Ballast(directory), onBroken, log };
  const journal = await Journal.open(join(directory, 'journal'), options);
  releaseAfter(t, () => journal.close().catch(() => undefined));
  return journal;
}

/** What the machine would find after kill -9: the journal's files as they are. */
async function copyOf(t: TestContext, directory: string): Promise<string> {
  const copy = join(await makeDirectory(t), 'copy');
  cpSync(directory, copy, { recursive: true });
  return copy;
}

function put(journal: Journal, key: number, size = 10, must = false): Promise<void> {
  return journal.write(() => journal.jobs.put(key, Buffer.alloc(size, key)), { must });
}

/** Writes into files of the log go to `write`, which may leave them to the real one. */
function replaceWrite(t: TestContext, make: (real: typeof fs.write) => typeof fs.write): () => void {
  const real = fs.write;
  const replace = (write: typeof fs.write): void => {
    Object.assign(fs, { write });
    syncBuiltinESMExports();
  };
  replace(make(real));
  t.after(() => replace(real));
  return () => replace(real);
}

test('Journal.write() is in the log until lmdb is brought up to date, and then in lmdb', async (t) => {
  const directory = await makeDirectory(t);
  const journal = await openJournal(t, directory);
  await put(journal, 1);
  const path = join(directory, 'journal');
  assert.equal(WriteAheadLog.read(path).length, 1);
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

test('a write into the log that fails is refused, and what comes after it is kept', async (t) => {
  const directory = await makeDirectory(t);
  const journal = await openJournal(t, directory);
  await put(journal, 1);
  for (const isThere of [false, true]) {
    const restore = replaceWrite(
      t,
      (real) =>
        ((...args: unknown[]) => {
          const callback = args.pop() as (error: Error) => void;
          const fail = (): void => callback(systemError('ENOSPC'));
          if (isThere) Reflect.apply(real, fs, [...args, fail]);
          else setImmediate(fail);
        }) as unknown as typeof fs.write,
    );
    await assert.rejects(put(journal, 2, 20), DISK_LOW);
    restore();
    assert.equal(journal.jobs.get(2), undefined);
    await put(journal, 3, 30);
    await put(journal, 4, 40);
    const copy = await openJournal(t, await copyOf(t, directory));
    assert.deepEqual([...copy.jobs.getKeys()], [1, 3, 4]);
    await journal.write(() => {
      for (const key of [3, 4]) journal.jobs.remove(key);
    });
  }
});

test('a write that must succeed does so when the log has no room', async (t) => {
  const directory = await makeDirectory(t);
  const journal = await openJournal(t, directory);
  replaceWrite(
    t,
    () =>
      ((...args: unknown[]) => {
        const callback = args.pop() as (error: Error) => void;
        setImmediate(() => callback(systemError('ENOSPC')));
      }) as unknown as typeof fs.write,
  );
  await put(journal, 1, 10, true);
  assert.equal((await openJournal(t, await copyOf(t, directory))).jobs.count(), 1);
});

test('a log that cannot be written ends the journal, which opens with all that was acknowledged', async (t) => {
  const directory = await makeDirectory(t);
  const broken: Error[] = [];
  const journal = await openJournal(t, directory, (error) => void broken.push(error));
  await put(journal, 1);
  const restore = replaceWrite(
    t,
    () =>
      ((...args: unknown[]) => {
        const callback = args.pop() as (error: Error) => void;
        setImmediate(() => callback(systemError('EIO')));
      }) as unknown as typeof fs.write,
  );
  await assert.rejects(put(journal, 2, 10, true), { code: 'EIO' });
  await assert.rejects(put(journal, 3), { code: 'EIO' });
  assert.equal(broken.length, 1);
  restore();
  const copy = await openJournal(t, await copyOf(t, directory));
  assert.deepEqual([...copy.jobs.getKeys()], [1]);
});

test('lmdb that cannot be brought up to date ends the journal, which opens with all of the log', async (t) => {
  const directory = await makeDirectory(t);
  const broken: Error[] = [];
  const journal = await openJournal(t, directory, (error) => void broken.push(error));
  const commit = t.mock.method(JournalTree.prototype, 'commit', () => Promise.reject(systemError('EIO')));
  for (let key = 1; broken.length === 0; key += 1) await put(journal, key, 100_000).catch(() => undefined);
  commit.mock.restore();
  await assert.rejects(put(journal, 1), { code: 'EIO' });
  assert.equal(broken.length, 1);
  const copy = await openJournal(t, await copyOf(t, directory));
  assert.ok(copy.jobs.count() >= 20);
  assert.deepEqual(copy.jobs.get(20), Buffer.alloc(100_000, 20));
});

test('while lmdb has no room the log goes on as long as it can; then only what must wait waits', async (t) => {
  const directory = await makeDirectory(t);
  const journal = await openJournal(t, directory);
  let refuses = true;
  const real = JournalTree.prototype.commit;
  t.mock.method(JournalTree.prototype, 'commit', function (this: JournalTree, fill: () => void) {
    return refuses ? Promise.reject(systemError('ENOSPC')) : real.call(this, fill);
  });
  let key = 0;
  await assert.rejects(async () => {
    for (;;) await put(journal, key + 1, 100_000).then(() => (key += 1));
  }, DISK_LOW);
  // Two files of 4 MiB, of which the second was begun when the first was half full.
  assert.ok(key > 40 && key < 90, `${key}`);
  const must = put(journal, 1000, 10, true);
  await assert.rejects(put(journal, 1001, 100_000), DISK_LOW);
  const copy = await openJournal(t, await copyOf(t, directory).finally(() => (refuses = false)));
  assert.equal(copy.jobs.count(), key);
  await must;
  assert.equal(journal.jobs.count(), key + 1);
  await journal.close();
});

test('Journal.open() says so when a record of the log is missing', async (t) => {
  const directory = await makeDirectory(t);
  const journal = await openJournal(t, directory);
  for (const key of [1, 2, 3]) await put(journal, key);
  const copy = await copyOf(t, directory);
  const path = join(copy, 'journal', 'log-0');
  // The second and the third alone.
  writeFileSync(path, readFileSync(path).subarray(4096));
  await assert.rejects(openJournal(t, copy), {
    code: 'internal',
    message: /record 1 is missing; check the disk/,
  });
  renameSync(path, `${path}.aside`);
  assert.equal((await openJournal(t, copy)).jobs.count(), 0);
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
  assert.equal(WriteAheadLog.read(path).length, 1);
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
