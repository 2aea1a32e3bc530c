/**
 * One owner per state directory. The lock is flock(2) on a file that is never removed, taken by util-linux's `flock` on a
 * descriptor that this process keeps: it belongs to the open file, so the kernel frees it however the process ends,
 * and it holds across namespaces. Nothing stale has to be judged after kill -9 or a reused process id.
 */
import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError, messageOf } from '../errors.ts';

/** Exit status of flock(1) when another process has the lock. */
const HELD = 1;

/** Resolves to how to let go; `config_invalid` when another process has the directory. */
export async function takeOwnership(stateDir: string): Promise<() => Promise<void>> {
  const handle = await open(join(stateDir, 'owner.lock'), 'a+', 0o600);
  const status = await lock(handle.fd).catch(async (cause: unknown) => {
    await handle.close();
    throw new CodedError(
      'config_invalid',
      `Cannot lock ${stateDir}: ${messageOf(cause)}; install util-linux`,
      { cause },
    );
  });
  if (status !== 0) {
    await handle.close();
    throw new CodedError(
      'config_invalid',
      status === HELD
        ? `Another incus-uploadd uses ${stateDir}; stop it, or give this one another --state-dir`
        : `Cannot lock ${stateDir}: flock ended with status ${status}`,
    );
  }
  return () => handle.close();
}

function lock(fd: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn('flock', ['--nonblock', '--exclusive', '3'], {
      stdio: ['ignore', 'ignore', 'ignore', fd],
    });
    child.once('error', reject);
    child.once('exit', (status) => resolve(status ?? -1));
  });
}
