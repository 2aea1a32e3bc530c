/** Small file systems of their own, to be filled. Only root can mount them. */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemCode } from '../../src/errors.ts';
import { releaseAfter } from '../support/release-after.ts';

export type DiskKind = 'tmpfs' | 'ext4';

const MIB = 1 << 20;

/** Why such a disk cannot be had here, or false. */
export function diskProblem(kind: DiskKind): string | false {
  if (process.getuid?.() !== 0) return 'needs root to mount a small file system';
  const probe = mkdtempSync(join(tmpdir(), 'incus-upload-disk-'));
  try {
    const problem = mount(kind, probe, 32 * MIB);
    if (problem !== undefined) return `cannot mount ${kind}: ${problem}`;
    spawnSync('umount', [join(probe, 'mnt')]);
    return false;
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
}

/** Mounts a small disk until the end of the test; returns its directory. */
export function mountDisk(t: TestContext, kind: DiskKind, sizeBytes: number): string {
  const base = mkdtempSync(join(tmpdir(), 'incus-upload-disk-'));
  const problem = mount(kind, base, sizeBytes);
  if (problem !== undefined) throw new Error(`Cannot mount ${kind}: ${problem}`);
  const directory = join(base, 'mnt');
  // Lazily, since a spool that the test opened by hand may still be on it.
  releaseAfter(t, () => {
    const { status, stderr } = spawnSync('umount', ['--lazy', directory], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`Cannot unmount ${directory}: ${stderr}`);
    rmSync(base, { recursive: true, force: true });
  });
  return directory;
}

/**
 * What is left of an ext4 disk when the power fails now: what has reached the block device, and nothing of what is only in
 * the page cache. Whoever writes must be stopped. Returns the directory where that is mounted.
 */
export function mountAfterPowerCut(t: TestContext, directory: string): string {
  const base = mkdtempSync(join(tmpdir(), 'incus-upload-disk-'));
  const [image, mounted] = [join(base, 'image'), join(base, 'mnt')];
  mkdirSync(mounted);
  const problem =
    run('cp', ['--sparse=always', join(dirname(directory), 'image'), image]) ??
    run('mount', ['-o', 'loop', image, mounted]);
  if (problem !== undefined) throw new Error(`Cannot mount the copy: ${problem}`);
  releaseAfter(t, () => {
    run('umount', ['--lazy', mounted]);
    rmSync(base, { recursive: true, force: true });
  });
  return mounted;
}

function mount(kind: DiskKind, base: string, sizeBytes: number): string | undefined {
  const directory = join(base, 'mnt');
  mkdirSync(directory);
  if (kind === 'tmpfs') return run('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', directory]);
  const image = join(base, 'image');
  writeFileSync(image, '');
  truncateSync(image, sizeBytes);
  // No blocks that only root may fill: the tests run as root.
  return run('mkfs.ext4', ['-q', '-m', '0', image]) ?? run('mount', ['-o', 'loop', image, directory]);
}

function run(command: string, args: readonly string[]): string | undefined {
  const { status, error, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (error !== undefined) return error.message;
  return status === 0 ? undefined : stderr.trim();
}

/** Fills a disk to the last block; returns how to give the room back. */
export function fillDisk(directory: string, name = 'filler'): () => void {
  const path = join(directory, name);
  const fd = openSync(path, 'w');
  for (const size of [MIB, 64 << 10, 4096]) {
    const bytes = Buffer.alloc(size, 'f');
    try {
      for (;;) writeSync(fd, bytes);
    } catch (error) {
      if (systemCode(error) !== 'ENOSPC') throw error;
    }
  }
  try {
    fsyncSync(fd);
  } catch (error) {
    if (systemCode(error) !== 'ENOSPC') throw error;
  }
  closeSync(fd);
  return () => unlinkSync(path);
}

export function freeBytes(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}
