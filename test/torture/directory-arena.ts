/** Instances that are directories; with root one of them is a small disk. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { systemCode } from '../../src/errors.ts';
import type { Arena } from './arena.ts';
import { type Disk, diskProblem, mountDisk } from './disk.ts';
import type { Fault } from './fault.ts';
import type { Place } from './place.ts';

const SMALL_DISK_BYTES = 24 << 20;
const SMALL_FILE_BYTES = 256 << 10;

export function openDirectoryArena(directory: string): Arena {
  const root = join(directory, 'instances');
  const isRoot = process.geteuid?.() === 0;
  const disk = diskProblem() === undefined ? mountDisk(join(root, 'small'), SMALL_DISK_BYTES) : undefined;
  const place = (instance: string, small: boolean): Place => {
    const hostDirectory = join(root, instance, 'data');
    mkdirSync(join(hostDirectory, 'in'), { recursive: true });
    // Whatever a run's user may have as umask.
    chmodSync(join(hostDirectory, 'in'), 0o755);
    return {
      project: 'default',
      instance,
      directory: '/data',
      hostDirectory,
      idOffset: 0,
      keepsOwner: isRoot,
      maxFileBytes: small ? SMALL_FILE_BYTES : Number.POSITIVE_INFINITY,
      manyFiles: !small,
    };
  };
  const places = [
    place('d1', false),
    place('d2', false),
    ...(disk === undefined ? [] : [place('small', true)]),
  ];
  let wentAtMs = 0;
  const goes = (): void => {
    wentAtMs = Date.now();
  };
  return {
    kind: 'dir',
    targetUrl: `dir:${root}`,
    places,
    faults: [
      moveAway(root, directory, goes),
      ...(disk === undefined ? [] : [fillUp(disk), makeReadOnly(disk)]),
    ],
    roots: [root],
    vanishing: { root: join(root, 'd2'), wentAtMs: () => wentAtMs },
    close: async () => disk?.unmount(),
  };
}

function moveAway(root: string, directory: string, goes: () => void): Fault {
  return {
    name: 'instance gone',
    codes: ['instance_not_found'],
    longestMs: 1000,
    begin: async () => {
      const aside = join(directory, 'moved');
      renameSync(join(root, 'd2'), aside);
      goes();
      return async () => renameSync(aside, join(root, 'd2'));
    },
  };
}

function fillUp(disk: Disk): Fault {
  return {
    name: 'instance disk full',
    codes: ['instance_disk_full'],
    longestMs: 4000,
    begin: async (random) => {
      disk.fill(random.pick([0, 0, 4096, 100_000]));
      return async () => disk.empty();
    },
  };
}

function makeReadOnly({ path }: Disk): Fault {
  const remount = (how: string) => execFileSync('mount', ['-o', `remount,${how}`, path], { stdio: 'ignore' });
  const makeWritable = async (): Promise<void> => {
    // Seen on a busy machine: mount(8) says that it is done, and the disk stays read-only for many seconds.
    for (let tries = 1; ; tries += 1) {
      remount('rw');
      if (takesFiles(path)) return;
      if (tries === 200) throw new Error('the disk stays read-only');
      await delay(100);
    }
  };
  return {
    name: 'instance read-only',
    // The second one when a killed daemon left something there: it cannot be removed now, and stands in the way.
    codes: ['permission_denied', 'instance_unavailable'],
    longestMs: 1000,
    begin: async () => {
      try {
        remount('ro');
      } catch {
        // Busy, mostly: a file is being written there just now. But mount(8) may also fail after the kernel has done it.
      }
      return makeWritable;
    },
  };
}

function takesFiles(directory: string): boolean {
  const probe = join(directory, '.torture-probe');
  try {
    writeFileSync(probe, '');
    rmSync(probe, { force: true });
    return true;
  } catch (error) {
    return systemCode(error) !== 'EROFS';
  }
}
