/** Small disks: a tmpfs of its own, which can be filled. Needs root. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export type Disk = {
  readonly path: string;
  /** Takes all room but `leaveBytes`. */
  fill(leaveBytes: number): void;
  /** Gives it back. */
  empty(): void;
  unmount(): void;
};

const FILLER = '.torture-filler';
const PIECE = Buffer.alloc(1 << 20);

/** Why there can be no small disks, or undefined. */
export function diskProblem(): string | undefined {
  return process.geteuid?.() === 0 ? undefined : 'only root can mount a small disk';
}

/** `owner`: user and group of its root directory. */
export function mountDisk(path: string, sizeBytes: number, owner = 0): Disk {
  mkdirSync(path, { recursive: true });
  const options = `size=${sizeBytes},mode=0755,uid=${owner},gid=${owner}`;
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'torture', path]);
  const filler = join(path, FILLER);
  return {
    path,
    fill: (leaveBytes) => {
      const fd = openSync(filler, 'a');
      try {
        for (;;) {
          const { bavail, bsize } = statfsSync(path);
          const bytes = Math.min(PIECE.length, bavail * bsize - leaveBytes);
          if (bytes <= 0) return;
          writeSync(fd, PIECE, 0, bytes);
        }
      } catch {
        // Full before it was asked for: just what is wanted.
      } finally {
        closeSync(fd);
      }
    },
    empty: () => rmSync(filler, { force: true }),
    unmount: () => {
      execFileSync('umount', ['-l', path]);
    },
  };
}
