import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodeNumber, encodeNumbers } from '../../src/spool/number-codec.ts';
import { nextTurn } from '../../src/spool/returning-clients.ts';
import { openJournal } from './journal-builder.ts';
import { makeDirectory } from './spool-builder.ts';

test('Journal.write() commits in the order of calls, the later over the earlier', async (t) => {
  const journal = await openJournal(t, await makeDirectory(t));
  const writes = Array.from({ length: 500 }, (_, i) =>
    journal.write(() => {
      journal.paths.put(1, encodeNumbers(i));
      journal.keys.put(`key-${i}`, encodeNumbers(i));
    }),
  );
  await Promise.all(writes);
  assert.equal(decodeNumber(journal.paths.get(1) as Buffer), 499);
  assert.equal([...journal.keys.getKeys({})].length, 500);
});

test('Journal.write() commits the next files of clients together that come back when answered', async (t) => {
  const journal = await openJournal(t, await makeDirectory(t));
  const rounds = 30;
  const clients = 6;
  // Large enough for a commit to take a while.
  const payload = Buffer.alloc(128 << 10);
  const commits = new Set<number>();
  const client = async (number: number): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      const key = number * rounds + round + 1;
      await journal.write(() => journal.payloads.put(key, payload), { client: true });
      commits.add(journal.commits);
      // As long as an answer is on its way, and the next request: not as long for all.
      for (let turn = 0; turn <= number; turn += 1) await nextTurn();
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, number) => client(number)));
  assert.ok(commits.size < 1.5 * rounds, `${commits.size} commits for ${rounds} rounds`);
});

test('Journal.write() shows nothing before its promise resolves, and all after', async (t) => {
  const journal = await openJournal(t, await makeDirectory(t));
  const write = journal.write(() => {
    journal.jobs.put(1, Buffer.from('a'));
    journal.live.put(1, Buffer.from('b'));
  });
  assert.equal(journal.jobs.get(1), undefined);
  await write;
  assert.equal(journal.jobs.get(1)?.toString(), 'a');
  assert.equal(journal.live.get(1)?.toString(), 'b');
});

test('Journal.write() with nothing to write resolves', async (t) => {
  const journal = await openJournal(t, await makeDirectory(t));
  await journal.write(() => undefined);
});

test('Journal takes the longest names that the protocol allows', async (t) => {
  const journal = await openJournal(t, await makeDirectory(t));
  const [instance, project] = ['i'.repeat(63), '\u{1f600}'.repeat(32) + 'p'.repeat(0)];
  await journal.write(() => {
    journal.instances.put([instance, project, 2 ** 52], Buffer.alloc(0));
    journal.temporaries.put([2 ** 52, '.incus-upload.1k102vgcqfg.zzzzzz-zzzzzz'], Buffer.alloc(5000));
  });
  assert.ok(journal.instances.doesExist([instance, project, 2 ** 52]));
});

test('Journal.write() is refused once the journal is closed', async (t) => {
  const journal = await openJournal(t, await makeDirectory(t));
  await journal.close();
  await assert.rejects(
    journal.write(() => undefined),
    /closed/,
  );
});

test('Journal.open() makes a new journal when the last run was killed while making one', async (t) => {
  const directory = await makeDirectory(t);
  mkdirSync(join(directory, 'journal-new'));
  writeFileSync(join(directory, 'journal-new', 'data.mdb'), 'half');
  mkdirSync(join(directory, 'journal'));
  const journal = await openJournal(t, directory);
  await journal.write(() => journal.meta.put('a', Buffer.from('b')));
  await journal.close();
  assert.ok(existsSync(join(directory, 'journal', 'data.mdb')));
  assert.deepEqual(
    readdirSync(directory).filter((name) => name !== 'journal' && name !== 'journal-new'),
    [],
  );
});
