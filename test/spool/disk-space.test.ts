import assert from 'node:assert/strict';
import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { CodedError } from '../../src/errors.ts';
import { DiskSpace, diskError, isDiskFull, isDiskLow } from '../../src/spool/disk-space.ts';

const NOTHING = { reclaimableBytes: 0, makeRoom: () => Promise.resolve() };

function freeBytes(): number {
  const { bavail, bsize } = statfsSync(tmpdir());
  return bavail * bsize;
}

/** Other programs use the disk too. */
const SLACK = 256 << 20;

test('DiskSpace.check() throws disk_low with a time to come back', () => {
  const disk = new DiskSpace(tmpdir(), freeBytes() + SLACK, Date.now, NOTHING);
  assert.equal(disk.hasRoomFor(0), false);
  assert.throws(() => disk.check(0), { code: 'disk_low', retryAfterSeconds: 30 });
});

test('DiskSpace counts what uploads under way have declared', () => {
  const disk = new DiskSpace(tmpdir(), 0, Date.now, NOTHING);
  const most = freeBytes() - SLACK;
  disk.check(most);
  disk.reserve(most);
  assert.throws(() => disk.check(2 * SLACK), { code: 'disk_low' });
  disk.release(most);
  disk.check(2 * SLACK);
});

test('DiskSpace.check() has room made of what only lingers, once', async () => {
  let asked = 0;
  let made = (): void => undefined;
  const reclaimable = {
    reclaimableBytes: 4 * SLACK,
    makeRoom: () => {
      asked += 1;
      return new Promise<void>((resolve) => {
        made = resolve;
      });
    },
  };
  const disk = new DiskSpace(tmpdir(), freeBytes() + SLACK, Date.now, reclaimable);
  disk.check(0);
  disk.check(0);
  assert.equal(asked, 1);
  assert.ok(disk.hasRoomFor(0));
  assert.throws(() => disk.check(8 * SLACK), { code: 'disk_low' });
  made();
  await new Promise((resolve) => setImmediate(resolve));
  disk.check(0);
  assert.equal(asked, 2);
});

test('DiskSpace leaves what lingers alone while there is room', () => {
  const reclaimable = { reclaimableBytes: 1, makeRoom: () => assert.fail() };
  new DiskSpace(tmpdir(), 0, Date.now, reclaimable).check(1);
});

test('diskError() makes disk_low of a full disk and of a used-up quota only', () => {
  for (const code of ['ENOSPC', 'EDQUOT']) {
    const error = Object.assign(new Error(code), { code });
    assert.ok(isDiskFull(error));
    const coded = diskError(error);
    assert.ok(coded instanceof CodedError);
    assert.ok(isDiskLow(coded));
    assert.equal(coded.cause, error);
  }
  const other = Object.assign(new Error('EIO'), { code: 'EIO' });
  assert.equal(diskError(other), other);
  assert.ok(!isDiskLow(other));
});
