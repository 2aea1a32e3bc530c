import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { JournalRoom } from '../../src/spool/journal-room.ts';
import { diskProblem, fillDisk, mountDisk } from './small-disk.ts';
import { draft, makeDirectory, openSpool } from './spool-builder.ts';

const MIB = 1 << 20;

test('JournalRoom.provide() puts what is wanted on the disk, and some more', async (t) => {
  const path = join(await makeDirectory(t), 'data');
  writeFileSync(path, Buffer.alloc(10_000, 'x'));
  const room = await JournalRoom.open(path);
  assert.ok((await room.provide(10_000, 3 * MIB)) >= 3 * MIB);
  const { size, blocks } = statSync(path);
  assert.ok(size >= 10_000 + 3 * MIB);
  assert.ok(blocks * 512 >= size, 'no holes');
  // There is room enough, so nothing is done.
  await room.provide(10_000, MIB);
  await room.settled();
  assert.equal(statSync(path).size, size);
});

test('JournalRoom.provide() asks for more before it is needed', async (t) => {
  const path = join(await makeDirectory(t), 'data');
  writeFileSync(path, Buffer.alloc(5 * MIB));
  const room = await JournalRoom.open(path);
  assert.equal(await room.provide(4 * MIB, MIB / 2), MIB);
  await room.settled();
  assert.ok(statSync(path).size >= 12 * MIB);
});

test('JournalRoom writes over nothing that lmdb wrote meanwhile', async (t) => {
  const directory = await makeDirectory(t);
  const path = join(directory, 'data');
  writeFileSync(path, '');
  const room = await JournalRoom.open(path);
  // As lmdb does when it makes its tables.
  const made = Buffer.alloc(20_000, 'x');
  writeFileSync(path, made);
  assert.ok((await room.provide(0, 3 * MIB + 1)) > 3 * MIB);
  assert.ok(readFileSync(path).subarray(0, made.length).equals(made));
  const { size, blocks } = statSync(path);
  assert.ok(blocks * 512 >= size);
});

const skip = diskProblem('tmpfs');

test('JournalRoom.provide() says what there is on a full disk', { skip }, async (t) => {
  const directory = mountDisk(t, 'tmpfs', 32 * MIB);
  const path = join(directory, 'data');
  writeFileSync(path, Buffer.alloc(2 * MIB));
  const makeRoom = fillDisk(directory);
  const room = await JournalRoom.open(path);
  assert.equal(await room.provide(MIB, 4 * MIB), MIB);
  makeRoom();
  assert.ok((await room.provide(MIB, 4 * MIB)) >= 4 * MIB);
});

test('a journal that is longer than what is used of it is read as before', async (t) => {
  const made = await openSpool(t);
  for (let i = 0; i < 3; i += 1) {
    await made.spool.acceptInline(draft({ path: `/p${i}` }), Buffer.alloc(60_000));
    const { size } = statSync(join(made.stateDir, 'journal', 'data.mdb'));
    assert.ok(size >= 8 * MIB);
    await (i % 2 === 0 ? made.crash() : made.reopen());
    assert.equal(made.spool.live.size, i + 1);
  }
});
