import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs, { existsSync, readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { PayloadWriter } from '../../src/spool/payload-writer.ts';
import { replaceWritev, systemError, writeAll } from './replaced-disk.ts';
import { makeDirectory } from './spool-builder.ts';

test('PayloadWriter keeps every byte in order, whatever the chunks', async (t) => {
  const directory = await makeDirectory(t);
  let count = 0;
  const sizes = fc.array(
    fc.oneof(fc.nat(20), fc.nat(70_000), fc.constantFrom(1 << 20, (1 << 20) - 1, 3 << 20)),
    { maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(sizes, async (lengths) => {
      count += 1;
      const chunks = lengths.map((length) => randomBytes(length));
      const writer = await PayloadWriter.open(join(directory, `p${count}`));
      await writeAll(writer, chunks);
      const bytes = Buffer.concat(chunks);
      assert.equal(await writer.finish(), bytes.length);
      assert.equal(writer.writtenBytes, bytes.length);
      await writer.close();
      assert.ok(readFileSync(writer.path).equals(bytes));
      fs.unlinkSync(writer.path);
    }),
    { numRuns: 25 },
  );
});

test('PayloadWriter gets over short writes', async (t) => {
  const directory = await makeDirectory(t);
  let short = 0;
  replaceWritev(t, (real) => (fd, buffers, position, callback) => {
    const bytes = Buffer.concat(buffers);
    short += 1;
    real(fd, [bytes.subarray(0, Math.max(1, bytes.length >> 1))], position, callback);
  });
  const chunks = Array.from({ length: 50 }, () => randomBytes(77_777));
  const writer = await PayloadWriter.open(join(directory, 'p'));
  await writeAll(writer, chunks);
  await writer.finish();
  await writer.close();
  assert.ok(short > 50);
  assert.ok(readFileSync(writer.path).equals(Buffer.concat(chunks)));
});

test('PayloadWriter.finish() says disk_low on a full disk, and drops what still comes', async (t) => {
  const directory = await makeDirectory(t);
  replaceWritev(
    t,
    () => (_fd, _buffers, _position, callback) => setImmediate(() => callback(systemError('ENOSPC'), 0)),
  );
  const writer = await PayloadWriter.open(join(directory, 'p'));
  await writeAll(
    writer,
    Array.from({ length: 10 }, () => randomBytes(1 << 20)),
  );
  await assert.rejects(writer.finish(), { code: 'disk_low', retryAfterSeconds: 30 });
  assert.equal((writer.failure as { code?: string }).code, 'disk_low');
  assert.equal(writer.write(randomBytes(10), assert.fail), true);
  await writer.abort();
  assert.ok(!existsSync(writer.path));
});

test('PayloadWriter writes on where room was made', async (t) => {
  const directory = await makeDirectory(t);
  let isFull = false;
  let asked = 0;
  replaceWritev(t, (real) => (fd, buffers, position, callback) => {
    if (isFull) setImmediate(() => callback(systemError('ENOSPC'), 0));
    else real(fd, buffers, position, callback);
  });
  const writer = await PayloadWriter.open(join(directory, 'p'), async () => {
    asked += 1;
    isFull = false;
    return true;
  });
  const chunks = Array.from({ length: 12 }, () => randomBytes(1 << 20));
  for (const chunk of chunks) {
    isFull = true;
    await writeAll(writer, [chunk]);
  }
  assert.equal(await writer.finish(), 12 << 20);
  assert.ok(asked >= 2);
  await writer.close();
  assert.ok(readFileSync(writer.path).equals(Buffer.concat(chunks)));
});

test('PayloadWriter gives up when room is promised but not there', async (t) => {
  const directory = await makeDirectory(t);
  let tries = 0;
  replaceWritev(t, () => (_fd, _buffers, _position, callback) => {
    tries += 1;
    setImmediate(() => callback(systemError('ENOSPC'), 0));
  });
  const writer = await PayloadWriter.open(join(directory, 'p'), () => Promise.resolve(true));
  await writeAll(writer, [randomBytes(10)]);
  await assert.rejects(writer.finish(), { code: 'disk_low' });
  assert.equal(tries, 4);
  await writer.abort();
});

test('PayloadWriter.finish() fails when the last sync fails, and does not ask again', async (t) => {
  const directory = await makeDirectory(t);
  const real = fs.fdatasync;
  let asked = 0;
  const fail = (_fd: number, callback: (error: Error) => void): void => {
    asked += 1;
    setImmediate(() => callback(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })));
  };
  t.after(() => {
    Object.assign(fs, { fdatasync: real });
    syncBuiltinESMExports();
  });
  Object.assign(fs, { fdatasync: fail });
  syncBuiltinESMExports();
  const writer = await PayloadWriter.open(join(directory, 'p'));
  await writeAll(writer, [randomBytes(10)]);
  await assert.rejects(writer.finish(), { code: 'EIO' });
  await assert.rejects(writer.finish(), { code: 'EIO' });
  await assert.rejects(writer.untilMoreThan(10, 1000), { code: 'EIO' });
  assert.equal(asked, 1);
  await writer.abort();
});

test('PayloadWriter.abort() leaves no file, at whatever moment', async (t) => {
  const directory = await makeDirectory(t);
  const moments: ((writer: PayloadWriter) => Promise<unknown> | undefined)[] = [
    () => undefined,
    (writer) => void writer.write(randomBytes(5), assert.fail),
    (writer) => void writer.write(randomBytes(3 << 20), () => undefined),
    (writer) => {
      writer.write(randomBytes(3 << 20), () => undefined);
      writer.write(randomBytes(3 << 20), () => undefined);
      return undefined;
    },
    (writer) => {
      writer.write(randomBytes(3 << 20), () => undefined);
      // The abort comes while it finishes.
      writer.finish().catch(() => undefined);
      return undefined;
    },
    async (writer) => {
      writer.write(randomBytes(100), () => undefined);
      const finishing = writer.finish().catch(() => undefined);
      await writer.untilMoreThan(0, 10_000);
      return void finishing;
    },
    (writer) => writer.finish(),
    async (writer) => {
      await writeAll(
        writer,
        Array.from({ length: 40 }, () => randomBytes(1 << 20)),
      );
    },
    (writer) => void writer.abort(),
    (writer) => writer.abort(),
  ];
  for (const moment of moments) {
    const writer = await PayloadWriter.open(join(directory, 'p'));
    await moment(writer);
    await Promise.all([writer.abort(), writer.abort()]);
    assert.ok(!existsSync(writer.path), String(moment));
    await assert.rejects(writer.finish(), /given up/);
  }
});

test('PayloadWriter.untilMoreThan() follows the writing to its end', async (t) => {
  const writer = await PayloadWriter.open(join(await makeDirectory(t), 'p'));
  const first = writer.untilMoreThan(0, 10_000);
  await writeAll(writer, [randomBytes(1 << 20)]);
  assert.equal(await first, true);
  const end = writer.untilMoreThan(1 << 20, 10_000);
  await writer.finish();
  assert.equal(await end, false);
  await writer.close();
});

test('PayloadWriter.untilMoreThan() rejects when the upload is given up', async (t) => {
  const writer = await PayloadWriter.open(join(await makeDirectory(t), 'p'));
  const waiting = assert.rejects(writer.untilMoreThan(0, 10_000), /given up/);
  await writer.abort();
  await waiting;
});

test('PayloadWriter.open() never writes into a file that is there', async (t) => {
  const path = join(await makeDirectory(t), 'p');
  fs.writeFileSync(path, 'precious');
  await assert.rejects(PayloadWriter.open(path), { code: 'EEXIST' });
  assert.equal(readFileSync(path, 'utf8'), 'precious');
});

test('PayloadWriter lets less wait for a slow disk when many files are open', async (t) => {
  const directory = await makeDirectory(t);
  const waiting: (() => void)[] = [];
  replaceWritev(
    t,
    (real) =>
      (...args) =>
        waiting.push(() => real(...args)),
  );
  const open = (name: number): Promise<PayloadWriter> => PayloadWriter.open(join(directory, String(name)));
  const mib = Buffer.alloc(1 << 20);

  const first = await open(0);
  assert.equal(
    first.write(mib, () => {}),
    true,
  );
  assert.equal(
    first.write(mib, () => {}),
    true,
  );
  assert.equal(
    first.write(mib, () => {}),
    false,
  );

  const others = await Promise.all(Array.from({ length: 63 }, (_, index) => open(index + 1)));
  const drained = new Promise<void>((resolve) => {
    assert.equal(
      others[0]?.write(mib, () => {}),
      true,
    );
    assert.equal(others[0]?.write(mib, resolve), false);
  });
  for (const write of waiting.splice(0)) write();
  await drained;

  const aborted = Promise.all([first, ...others].map((writer) => writer.abort()));
  for (const write of waiting.splice(0)) write();
  await aborted;
});
