import assert from 'node:assert/strict';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { BLOCK_BYTES, giveBlock, takeBlock } from '../../src/base/aligned-blocks.ts';

test('takeBlock() gives memory that is nobody else’s, until giveBlock()', () => {
  const blocks = Array.from({ length: 100 }, (_, index) => takeBlock().fill(index));
  for (const [index, block] of blocks.entries()) {
    assert.equal(block.length, BLOCK_BYTES);
    assert.ok(block.every((byte) => byte === index));
  }
  const last = blocks[99] as Buffer;
  giveBlock(last);
  const again = takeBlock();
  assert.equal(again.buffer, last.buffer);
  assert.equal(again.byteOffset, last.byteOffset);
  giveBlock(again);
  for (const block of blocks.slice(0, 99)) giveBlock(block);
});

test('giveBlock() keeps memory for the next burst, and lets the rest go', () => {
  const blocks = Array.from({ length: 400 }, () => takeBlock());
  const before = new Set(blocks.map(({ buffer }) => buffer));
  for (const block of blocks) giveBlock(block);
  const later = Array.from({ length: 400 }, () => takeBlock());
  for (const block of later) giveBlock(block);
  // 64 blocks are 8 arenas.
  const reused = [...new Set(later.map(({ buffer }) => buffer))].filter((buffer) =>
    before.has(buffer),
  ).length;
  assert.ok(reused >= 8 && reused < 12, `${reused} arenas were kept`);
});

test('a block is aligned for direct I/O', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'incus-upload-'));
  t.after(() => rm(directory, { recursive: true }));
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_DIRECT;
  let fd: number;
  try {
    fd = openSync(join(directory, 'file'), flags);
  } catch {
    t.diagnostic('The file system here has no direct I/O');
    return;
  }
  const block = takeBlock();
  assert.equal(writeSync(fd, block, 0, BLOCK_BYTES, 0), BLOCK_BYTES);
  assert.equal(writeSync(fd, block.subarray(4096), 0, 4096, BLOCK_BYTES), 4096);
  giveBlock(block);
  closeSync(fd);
});
