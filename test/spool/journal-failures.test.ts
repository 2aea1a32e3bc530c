/** A journal whose log or whose lmdb cannot be written. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { type TestContext, test } from 'node:test';
import { JournalTree } from '../../src/spool/journal-tree.ts';
import { copyOf, openJournal, put } from './journal-builder.ts';
import { systemError } from './replaced-disk.ts';
import { makeDirectory } from './spool-builder.ts';

const DISK_LOW = { code: 'disk_low' };

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
