/** Large payloads, which are written past the page cache. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs, { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { BLOCK_BYTES } from '../../src/base/aligned-blocks.ts';
import { DIRECT_LEAST_BYTES } from '../../src/base/direct-io.ts';
import type { LentBytes } from '../../src/spool/payload-blocks.ts';
import { createGrowingPayload, openPayloadFile } from '../../src/spool/payload-source.ts';
import { PayloadWriter } from '../../src/spool/payload-writer.ts';
import { replaceWritev, systemError, writeAll } from './replaced-disk.ts';
import { makeDirectory } from './spool-builder.ts';

/** Whether what was opened under this number goes past the page cache; proc(5), octal flags. */
function isDirect(fd: number): boolean {
  const flags = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
  return (Number.parseInt(flags, 8) & fs.constants.O_DIRECT) !== 0;
}

const open = (path: string, makeRoom?: () => Promise<boolean>): Promise<PayloadWriter> =>
  PayloadWriter.open(path, makeRoom, DIRECT_LEAST_BYTES);

test('PayloadWriter keeps every byte of a large file, whatever the chunks', async (t) => {
  const directory = await makeDirectory(t);
  let count = 0;
  const length = fc.oneof(
    fc.nat(20),
    fc.nat(70_000),
    fc.constantFrom(BLOCK_BYTES, BLOCK_BYTES - 1, 4096, 6 << 20),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(length, { maxLength: 40 }), async (lengths) => {
      count += 1;
      const chunks = lengths.map((bytes) => randomBytes(bytes));
      const writer = await open(join(directory, `p${count}`));
      await writeAll(writer, chunks);
      const bytes = Buffer.concat(chunks);
      assert.equal(await writer.finish(), bytes.length);
      await writer.close();
      assert.ok(readFileSync(writer.path).equals(bytes));
      fs.unlinkSync(writer.path);
    }),
    { numRuns: 25 },
  );
});

test('PayloadWriter writes the whole pages of a large file past the page cache, the rest through it', async (t) => {
  const directory = await makeDirectory(t);
  const written = { direct: 0, cached: 0 };
  replaceWritev(t, (real) => (fd, buffers, ...rest) => {
    for (const { length } of buffers) written[isDirect(fd) ? 'direct' : 'cached'] += length;
    real(fd, buffers, ...rest);
  });
  const writer = await open(join(directory, 'p'));
  const bytes = randomBytes((20 << 20) + 5000);
  await writeAll(writer, [bytes]);
  await writer.finish();
  await writer.close();
  assert.ok(readFileSync(writer.path).equals(bytes));
  if (written.direct === 0) t.diagnostic('The file system here has no direct I/O');
  else assert.deepEqual(written, { direct: (20 << 20) + 4096, cached: 904 });
});

test('PayloadWriter goes through the page cache where the file system asks for more than pages', async (t) => {
  const directory = await makeDirectory(t);
  let refused = 0;
  replaceWritev(t, (real) => (fd, buffers, position, callback) => {
    if (!isDirect(fd)) return real(fd, buffers, position, callback);
    refused += 1;
    setImmediate(() => callback(systemError('EINVAL'), 0));
  });
  const writer = await open(join(directory, 'p'));
  const bytes = randomBytes(20 << 20);
  await writeAll(writer, [bytes]);
  assert.equal(await writer.finish(), bytes.length);
  await writer.close();
  assert.ok(refused <= 1, 'it is asked once');
  assert.ok(readFileSync(writer.path).equals(bytes));
});

test('PayloadWriter gets over short writes of a large file', async (t) => {
  const directory = await makeDirectory(t);
  let short = 0;
  replaceWritev(t, (real) => (fd, buffers, position, callback) => {
    const [first] = buffers;
    short += 1;
    // Sometimes at the end of a page, sometimes not, as on a full disk.
    const part =
      (first?.length ?? 0) > 8192 ? (first ?? Buffer.alloc(0)).subarray(0, short % 2 ? 8192 : 5000) : first;
    if (short > 40 || part === undefined) real(fd, buffers, position, callback);
    else fs.write(fd, part, 0, part.length, position, callback);
  });
  const writer = await open(join(directory, 'p'));
  const bytes = randomBytes((4 << 20) + 77);
  await writeAll(writer, [bytes]);
  await writer.finish();
  await writer.close();
  assert.ok(short > 40);
  assert.ok(readFileSync(writer.path).equals(bytes));
});

test('PayloadWriter of a large file says disk_low on a full disk, and writes on where room was made', async (t) => {
  const directory = await makeDirectory(t);
  let isFull = true;
  replaceWritev(t, (real) => (fd, buffers, position, callback) => {
    if (isFull) setImmediate(() => callback(systemError('ENOSPC'), 0));
    else real(fd, buffers, position, callback);
  });
  const refused = await open(join(directory, 'p1'));
  await writeAll(refused, [randomBytes(3 << 20), randomBytes(30 << 20)]);
  await assert.rejects(refused.finish(), { code: 'disk_low' });
  await refused.abort();
  assert.ok(!fs.existsSync(refused.path));

  const bytes = randomBytes(30 << 20);
  const helped = await open(join(directory, 'p2'), async () => {
    isFull = false;
    return true;
  });
  await writeAll(helped, [bytes]);
  assert.equal(await helped.finish(), bytes.length);
  await helped.close();
  assert.ok(readFileSync(helped.path).equals(bytes));
});

test('PayloadWriter of a large file asks its sender to wait for a slow disk, and holds no more than it must', async (t) => {
  const directory = await makeDirectory(t);
  const waiting: (() => void)[] = [];
  let isSlow = true;
  replaceWritev(t, (real) => (...args) => {
    if (isSlow) waiting.push(() => real(...args));
    else real(...args);
  });
  const writer = await open(join(directory, 'p'));
  const chunk = randomBytes(64 << 10);
  let chunks = 0;
  let drained = false;
  const drain = () => {
    drained = true;
  };
  do chunks += 1;
  while (writer.write(chunk, drain));
  assert.equal(chunks * chunk.length, 8 * BLOCK_BYTES);
  // What was on its way already is kept all the same.
  writer.write(chunk, drain);
  assert.equal(drained, false);
  isSlow = false;
  for (const write of waiting.splice(0)) write();
  await writer.finish();
  assert.equal(drained, true);
  assert.equal(writer.writtenBytes, (chunks + 1) * chunk.length);
  await writer.close();
  assert.ok(readFileSync(writer.path).equals(Buffer.concat(Array.from({ length: chunks + 1 }, () => chunk))));
});

test('PayloadWriter takes more large files at once than there are blocks for', async (t) => {
  const directory = await makeDirectory(t);
  const bytes = randomBytes(BLOCK_BYTES * 3 + 5);
  const writers = await Promise.all(
    Array.from({ length: 150 }, (_, index) => open(join(directory, `p${index}`))),
  );
  await Promise.all(
    writers.map(async (writer) => {
      await writeAll(writer, [bytes.subarray(0, 1000), bytes.subarray(1000)]);
      await writer.finish();
      await writer.close();
    }),
  );
  for (const { path } of writers) assert.ok(readFileSync(path).equals(bytes));
});

test('a growing payload is read out of memory as far as it is there, else from the file', async (t) => {
  const directory = await makeDirectory(t);
  const bytes = randomBytes(60 * BLOCK_BYTES + 333);
  const writer = await open(join(directory, 'p'));
  const payload = createGrowingPayload(writer, new Promise(() => {}));

  const first = payload.lend?.(0);
  writer.write(bytes.subarray(0, BLOCK_BYTES), () => {});
  const lent = await first;
  assert.ok(lent !== undefined);
  assert.ok(lent.data.equals(bytes.subarray(0, BLOCK_BYTES)));

  // The reader stands still while the rest comes: it has to go to the file for most of it.
  await writeAll(writer, splitAt(bytes.subarray(BLOCK_BYTES), 70_000));
  const finished = writer.finish();
  assert.ok(lent.data.equals(bytes.subarray(0, BLOCK_BYTES)), 'what is lent stays as it is');
  lent.release();
  let fromMemory = 1;
  let fromFile = 0;
  const buffer = Buffer.alloc(BLOCK_BYTES);
  for (let at = BLOCK_BYTES; at < bytes.length; ) {
    const piece = await payload.lend?.(at);
    const got = piece?.data ?? buffer.subarray(0, await payload.read(buffer, at));
    assert.ok(got.length > 0 && got.equals(bytes.subarray(at, at + got.length)), `at ${at}`);
    if (piece === undefined) fromFile += 1;
    else fromMemory += 1;
    piece?.release();
    at += got.length;
  }
  assert.equal(await finished, bytes.length);
  assert.equal(await payload.lend?.(bytes.length), undefined);
  assert.equal(await payload.read(buffer, bytes.length), 0);
  await writer.close();
  assert.ok(fromMemory > 10 && fromFile > 10, `${fromMemory} from memory, ${fromFile} from the file`);
});

test('a sender does not wait for a reader that keeps what it has borrowed', async (t) => {
  const directory = await makeDirectory(t);
  // Others have all the blocks that there are to spare.
  const others = await Promise.all(
    Array.from({ length: 95 }, (_, index) => open(join(directory, `o${index}`))),
  );
  const writer = await open(join(directory, 'p'));
  const bytes = randomBytes(20 * BLOCK_BYTES);
  const lent: LentBytes[] = [];
  for (const chunk of splitAt(bytes, BLOCK_BYTES)) {
    await writeAll(writer, [chunk]);
    const piece = writer.lend(lent.length * BLOCK_BYTES);
    if (piece !== undefined) lent.push(piece);
  }
  assert.equal(await writer.finish(), bytes.length);
  assert.ok(lent.length > 2, `${lent.length} blocks were lent`);
  for (const [index, { data, release }] of lent.entries()) {
    assert.ok(data.equals(bytes.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES)));
    release();
  }
  await writer.close();
  assert.ok(readFileSync(writer.path).equals(bytes));
  await Promise.all(others.map((other) => other.abort()));
});

test('what was lent of an upload that is given up stays until it is released', async (t) => {
  const writer = await open(join(await makeDirectory(t), 'p'));
  const bytes = randomBytes(BLOCK_BYTES);
  writer.write(bytes, () => {});
  const lent = writer.lend(0);
  await writer.abort();
  const other = await open(join(await makeDirectory(t), 'p'));
  other.write(randomBytes(20 * BLOCK_BYTES), () => {});
  assert.ok(lent !== undefined);
  assert.ok(lent.data.equals(bytes));
  lent.release();
  assert.equal(writer.lend(0), undefined);
  await other.abort();
});

test('openPayloadFile() reads a large file past the page cache to its last byte', async (t) => {
  const path = join(await makeDirectory(t), 'p');
  const bytes = randomBytes(DIRECT_LEAST_BYTES + 4097);
  fs.writeFileSync(path, bytes);
  for (const isShared of [false, true]) {
    const payload = await openPayloadFile(path, { sequence: 1, size: bytes.length, isShared });
    const buffer = Buffer.alloc(BLOCK_BYTES);
    for (let at = 0; ; ) {
      const got = await payload.read(buffer, at);
      assert.ok(buffer.subarray(0, got).equals(bytes.subarray(at, at + got)), `at ${at}`);
      at += got;
      if (got > 0) continue;
      assert.equal(at, bytes.length);
      break;
    }
    await payload.close();
  }
});

function splitAt(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
}
