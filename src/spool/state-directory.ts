/** Everything that a spool holds open in its state directory, taken in order and let go of in the reverse. */
import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { ReleaseStack } from '../base/release-stack.ts';
import { systemCode } from '../errors.ts';
import { Ballast } from './ballast.ts';
import { DirectorySync } from './directory-sync.ts';
import { Journal } from './journal.ts';
import { takeOwnership } from './owner.ts';
import { syncPath } from './sync-path.ts';

export type StateDirectory = {
  readonly ballast: Ballast;
  readonly journal: Journal;
  /** Where payload files are. */
  readonly payloads: string;
  /** The names of the payload files. */
  readonly names: DirectorySync;
  /** Waits for what is being written, then lets go of everything. */
  close(): Promise<void>;
};

/** Makes the directory if need be; `config_invalid` when another daemon has it. */
export async function openStateDirectory(
  path: string,
  onBroken: (error: Error) => void,
): Promise<StateDirectory> {
  const payloads = join(path, 'payloads');
  const made = await mkdir(path, { recursive: true, mode: 0o700 });
  const held = new ReleaseStack();
  held.defer(await takeOwnership(path));
  try {
    await mkdir(payloads, { recursive: true, mode: 0o700 });
    await syncNames(path, made);
    const ballast = new Ballast(path);
    await ballast.takeOn().catch(() => undefined);
    const names = await DirectorySync.open(payloads);
    held.defer(() => names.close());
    const journal = await Journal.open(join(path, 'journal'), { ballast, onBroken });
    held.defer(() => journal.close());
    return { ballast, journal, payloads, names, close: () => held.release() };
  } catch (error) {
    await held.release();
    throw error;
  }
}

/** A new directory is there after a power cut only when its name is on stable storage, and so on up to one that was there. */
async function syncNames(path: string, topMost: string | undefined): Promise<void> {
  const last = topMost === undefined ? resolve(path) : dirname(resolve(topMost));
  for (let directory = resolve(path); ; directory = dirname(directory)) {
    await syncPath(directory).catch((error: unknown) => {
      // One that may be written and not read.
      if (directory === resolve(path) || systemCode(error) !== 'EACCES') throw error;
    });
    if (directory === last || directory === dirname(directory)) return;
  }
}
