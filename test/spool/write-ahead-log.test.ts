import assert from 'node:assert/strict';
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { decodeOperations, type Operation } from '../../src/spool/journal-operation.ts';
import { WriteAheadLog } from '../../src/spool/write-ahead-log.ts';
import { diskProblem, fillDisk, mountDisk } from './small-disk.ts';
import { makeDirectory } from './spool-builder.ts';

const MIB = 1 << 20;

function put(key: number, value: string | Buffer): Operation {
  return { table: 0, key, id: key, value: Buffer.from(value) };
}

const SALT = WriteAheadLog.drawSalt();

async function openLog(t: TestContext, directory: string, salt = SALT): Promise<WriteAheadLog> {
  const log = await WriteAheadLog.open(directory, salt);
  t.after(() => log.close());
  return log;
}

async function append(log: WriteAheadLog, number: number, size = 10): Promise<void> {
  assert.ok(log.prepare(number, [put(number, Buffer.alloc(size, number))]));
  assert.ok(log.hasRoom);
  await log.append();
}

function numbersIn(directory: string): number[] {
  return WriteAheadLog.read(directory, SALT).map(({ number }) => number);
}

test('WriteAheadLog.read() finds what was appended, over both files', async (t) => {
  const directory = await makeDirectory(t);
  assert.deepEqual(WriteAheadLog.read(directory, SALT), []);
  const log = await openLog(t, directory);
  for (const number of [7, 8]) await append(log, number);
  log.turn();
  for (const number of [9, 10, 11]) await append(log, number, 5000);
  assert.deepEqual(numbersIn(directory), [7, 8, 9, 10, 11]);
  const [first] = WriteAheadLog.read(directory, SALT);
  assert.deepEqual(decodeOperations(first?.body as Buffer), [put(7, Buffer.alloc(10, 7))]);
});

test('WriteAheadLog.read() finds beside newer records what an earlier turn has left whole', async (t) => {
  const directory = await makeDirectory(t);
  const log = await openLog(t, directory);
  await append(log, 1);
  await append(log, 2, 6000);
  await append(log, 3);
  log.turn();
  await append(log, 4);
  log.turn();
  await append(log, 5, 6000);
  // The first and the head of the second are written over.
  assert.deepEqual(numbersIn(directory), [3, 4, 5]);
});

test('WriteAheadLog.read() finds nothing from before it was opened', async (t) => {
  const directory = await makeDirectory(t);
  const first = await openLog(t, directory, WriteAheadLog.drawSalt());
  for (const number of [1, 2, 3]) await append(first, number);
  const second = await openLog(t, directory);
  assert.deepEqual(numbersIn(directory), []);
  await append(second, 1);
  assert.deepEqual(numbersIn(directory), [1]);
});

test('WriteAheadLog.read() leaves out a record that is not whole', async (t) => {
  const directory = await makeDirectory(t);
  const log = await openLog(t, directory);
  for (const number of [1, 2, 3, 4]) await append(log, number, 6000);
  const path = join(directory, 'log-0');
  const whole = readFileSync(path);
  // The third begins behind two of two blocks each.
  const third = 4 * 4096;
  for (const at of [third, third + 17, third + 21, third + 25, third + 33, third + 6000]) {
    const torn = Buffer.from(whole);
    torn.writeUInt8(torn.readUInt8(at) ^ 1, at);
    writeFileSync(path, torn);
    assert.deepEqual(numbersIn(directory), [1, 2, 4], `byte ${at}`);
  }
  writeFileSync(path, whole);
  truncateSync(path, third + 100);
  assert.deepEqual(numbersIn(directory), [1, 2]);
  // A length beyond all bounds.
  whole.writeUInt32LE(0xffffffff, third + 16);
  writeFileSync(path, whole);
  assert.deepEqual(numbersIn(directory), [1, 2, 4]);
});

test('WriteAheadLog.open() makes files whole that are short, and keeps what they hold', async (t) => {
  const directory = await makeDirectory(t);
  const log = await openLog(t, directory);
  await append(log, 1);
  const { size } = statSync(join(directory, 'log-0'));
  truncateSync(join(directory, 'log-0'), 8192);
  truncateSync(join(directory, 'log-1'), 0);
  await openLog(t, directory);
  for (const name of ['log-0', 'log-1']) assert.equal(statSync(join(directory, name)).size, size);
  assert.deepEqual(numbersIn(directory), [1]);
});

test('WriteAheadLog says when a record does not fit', async (t) => {
  const log = await openLog(t, await makeDirectory(t));
  assert.equal(log.prepare(1, [put(1, Buffer.alloc(2 * MIB))]), false);
  let number = 0;
  for (;;) {
    number += 1;
    assert.ok(log.prepare(number, [put(number, Buffer.alloc(400_000))]));
    if (!log.hasRoom) break;
    await log.append();
  }
  assert.ok(number > 5 && log.fill > 0.5);
  log.turn();
  assert.ok(log.hasRoom);
  assert.equal(log.fill, 0);
});

test('WriteAheadLog takes no new block of the disk', { skip: diskProblem('tmpfs') }, async (t) => {
  const directory = mountDisk(t, 'tmpfs', 32 * MIB);
  const log = await openLog(t, directory);
  fillDisk(directory);
  for (let number = 1; number <= 10; number += 1) await append(log, number, 300_000);
  assert.equal(numbersIn(directory).length, 10);
});

test('WriteAheadLog.open() rejects on a full disk', { skip: diskProblem('tmpfs') }, async (t) => {
  const directory = mountDisk(t, 'tmpfs', 32 * MIB);
  fillDisk(directory);
  await assert.rejects(WriteAheadLog.open(directory, SALT), /no room/);
});
