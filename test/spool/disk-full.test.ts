import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { JobRecord } from '../../src/spool/job-record.ts';
import type { Spool } from '../../src/spool/spool.ts';
import { diskProblem, fillDisk, freeBytes, mountDisk } from './small-disk.ts';
import { acceptFile, deliver, draft, openSpool, payloadFiles, readPayload, settle } from './spool-builder.ts';

const MIB = 1 << 20;
const DISK_LOW = { name: 'CodedError', code: 'disk_low', retryAfterSeconds: 30 };

/** Accepts small payloads until that is refused, and returns what was accepted. */
async function acceptUntilFull(spool: Spool): Promise<JobRecord[]> {
  const accepted: JobRecord[] = [];
  for (let i = 0; i < 20_000; i += 1) {
    try {
      accepted.push(await spool.acceptInline(draft({ path: `/n${i}` }), Buffer.alloc(40_000, 'n')));
    } catch (error) {
      assert.ok(error instanceof Error);
      assert.deepEqual({ ...error, name: error.name, cause: undefined }, { ...DISK_LOW, cause: undefined });
      return accepted;
    }
  }
  throw new Error('The disk is never full');
}

async function untilThere(path: string, poke: () => Promise<unknown>): Promise<void> {
  const deadlineMs = Date.now() + 30_000;
  while (!existsSync(path)) {
    assert.ok(Date.now() < deadlineMs, `${path} does not come back`);
    await poke();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

for (const kind of ['tmpfs', 'ext4'] as const) {
  const skip = diskProblem(kind);

  test(`on a full ${kind} uploads are refused, outcomes get through, and it recovers`, {
    skip,
  }, async (t) => {
    const stateDir = mountDisk(t, kind, 64 * MIB);
    const made = await openSpool(t, {}, stateDir);
    const { spool } = made;
    const ballast = join(stateDir, 'ballast');
    assert.ok(existsSync(ballast));
    const before = await Promise.all(
      Array.from({ length: 200 }, (_, i) => spool.acceptInline(draft({ path: `/b${i}` }), Buffer.alloc(900))),
    );
    const file = await acceptFile(spool, draft({ path: '/file' }), Buffer.alloc(2 * MIB, 'x'));
    const growing = await spool.openUpload();
    growing.writer.write(Buffer.alloc(MIB), () => undefined);

    const makeRoom = fillDisk(stateDir);
    const squeezed = await acceptUntilFull(spool);
    // An upload that was under way, and one that begins now.
    for (let i = 0; i < 8; i += 1) growing.writer.write(Buffer.alloc(MIB), () => undefined);
    await assert.rejects(growing.writer.finish(), DISK_LOW);
    await growing.writer.abort();
    // What it gave back is taken as well.
    const makeMoreRoom = fillDisk(stateDir, 'filler-2');
    await assert.rejects(acceptFile(spool, draft(), Buffer.alloc(4 * MIB)), DISK_LOW);

    // Every kind of outcome, all at once and one by one.
    const [first, second, third, ...rest] = before;
    assert.ok(first && second && third);
    await settle(spool, first, 'deferred');
    await settle(spool, second, 'failed');
    await settle(spool, third, 'cancelled');
    await Promise.all(rest.slice(0, 150).map((record) => deliver(spool, record)));
    for (const record of rest.slice(150)) await deliver(spool, record);
    await deliver(spool, file);
    assert.equal(spool.countFinished().delivered, 198);

    makeRoom();
    makeMoreRoom();
    const after = await spool.acceptInline(draft({ path: '/after' }), Buffer.from('after'));
    const afterFile = await acceptFile(spool, draft({ path: '/after-file' }), Buffer.alloc(2 * MIB, 'y'));
    if (!existsSync(ballast)) await untilThere(ballast, () => spool.journal.write(() => undefined));

    await made.reopen();
    assert.equal(made.spool.live.size, 1 + squeezed.length + 2);
    for (const record of [...squeezed, after, afterFile])
      assert.equal((await readPayload(made.spool, record)).length, record.size);
  });

  test(`a start on a full ${kind} gets through`, { skip }, async (t) => {
    const stateDir = mountDisk(t, kind, 64 * MIB);
    const made = await openSpool(t, {}, stateDir);
    const record = await made.spool.acceptInline(draft(), Buffer.from('x'));
    fillDisk(stateDir);
    await acceptUntilFull(made.spool);
    await made.reopen();
    await deliver(made.spool, record);
    assert.equal(made.spool.countFinished().delivered, 1);
    assert.equal(made.spool.run, 2);
  });

  test(`on a ${kind} full of lingering payloads no upload is refused`, { skip }, async (t) => {
    for (const minFreeSpaceBytes of [0, 12 * MIB]) {
      const stateDir = mountDisk(t, kind, 64 * MIB);
      const made = await openSpool(t, { minFreeSpaceBytes }, stateDir);
      const { spool } = made;
      const keep = await acceptFile(spool, draft({ path: '/keep' }), Buffer.alloc(3 * MIB, 'k'));
      for (let i = 0; i < 40; i += 1) {
        spool.disk.check(5 * MIB);
        await deliver(spool, await acceptFile(spool, draft({ path: `/p${i}` }), Buffer.alloc(5 * MIB, 'p')));
      }
      assert.equal((await readPayload(spool, keep)).length, 3 * MIB);
      assert.ok([...spool.payloads.lingering()].length < 40);
      await made.spool.close();
    }
  });

  test(`a job that the journal has no room for gets that of lingering payloads on ${kind}`, {
    skip,
  }, async (t) => {
    const stateDir = mountDisk(t, kind, 64 * MIB);
    const { spool } = await openSpool(t, {}, stateDir);
    await deliver(spool, await acceptFile(spool, draft(), Buffer.alloc(4 * MIB)));
    fillDisk(stateDir);
    assert.equal([...spool.payloads.lingering()].length, 1);
    await acceptUntilFull(spool);
    assert.deepEqual([...spool.payloads.lingering()], [], 'it was given up before anything was refused');
  });

  test(`--min-free-space is kept free on ${kind}`, { skip }, async (t) => {
    const stateDir = mountDisk(t, kind, 64 * MIB);
    const { spool } = await openSpool(t, { minFreeSpaceBytes: 16 * MIB }, stateDir);
    let accepted = 0;
    const acceptAll = async (): Promise<void> => {
      for (; accepted < 100; accepted += 1) {
        spool.disk.check(4 * MIB);
        await acceptFile(spool, draft({ path: `/p${accepted}` }), Buffer.alloc(4 * MIB));
        // What was looked up a moment ago may be counted on for a moment.
        await new Promise((resolve) => setTimeout(resolve, 101));
      }
    };
    await assert.rejects(acceptAll(), DISK_LOW);
    assert.ok(accepted > 2);
    assert.ok(freeBytes(stateDir) >= 16 * MIB);
    assert.equal((await payloadFiles(stateDir)).length, accepted);
    assert.equal(spool.disk.hasRoomFor(4 * MIB), false);
  });

  test(`what is written between two looks at a disk of ${kind} is counted`, { skip }, async (t) => {
    const stateDir = mountDisk(t, kind, 64 * MIB);
    let nowMs = Date.now();
    const about = { minFreeSpaceBytes: 16 * MIB, nowMs: () => nowMs };
    const { spool } = await openSpool(t, about, stateDir);
    const { disk } = spool;
    disk.check(4 * MIB);
    const { writer } = await spool.openUpload();
    const written = freeBytes(stateDir) - 16 * MIB;
    writer.write(Buffer.alloc(written), () => undefined);
    disk.wrote(await writer.finish());
    assert.throws(() => disk.check(4 * MIB), { code: 'disk_low' });
    await writer.abort();
    nowMs += 1000;
    disk.check(4 * MIB);
  });
}
