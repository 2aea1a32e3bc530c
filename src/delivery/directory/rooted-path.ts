/**
 * Finds directories and files below a root as a process confined there by chroot would: absolute links start at the
 * root, `..` cannot leave it, at most 40 links are followed. Each step opens one name in a directory that is already
 * open, never following a link in the kernel, so nothing that somebody renames or links meanwhile leads outside.
 *
 * Names are byte strings (one character for each byte, `latin1`), for those on disk need not be UTF-8.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, readlink } from 'node:fs/promises';
import { systemCode } from '../../errors.ts';
import { refusal } from '../failure.ts';
import type { HandleKeeper } from './handle-keeper.ts';

const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const MAX_LINKS = 40;
/** Bounds the work that links full of `..` can cause. */
const MAX_STEPS = 10_000;

export type Root = {
  readonly handle: FileHandle;
  readonly keeper: HandleKeeper;
  /** Makes a directory that is missing, or undefined when none shall be made. */
  readonly make: ((parent: FileHandle, entry: Buffer) => Promise<void>) | undefined;
};

/** A name in an open directory; whether anything is there is another question. */
export type Place = {
  readonly directory: FileHandle;
  /** Real names from the root to the directory. */
  readonly names: readonly string[];
  readonly name: string;
};

export type FoundType = 'missing' | 'file' | 'directory' | 'other';

type Step = { readonly name: string; readonly fromLink: boolean };
type Budget = { links: number; steps: number };

/** The path by which the kernel reaches `name` in an open directory, without looking at the way there again. */
export function entryOf(directory: FileHandle, name: string): Buffer {
  return Buffer.from(`/proc/self/fd/${directory.fd}/${name}`, 'latin1');
}

export function byteNames(path: string): string[] {
  return splitNames(Buffer.from(path, 'utf8').toString('latin1'));
}

function splitNames(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

/**
 * Finds the place of a file, following a link there to the file it points to. A link to nothing is itself the place
 * (`missing`: it may be replaced). The directory is the caller's to close; throws system errors and refusals.
 */
export async function findPlace(
  root: Root,
  names: readonly string[],
): Promise<{ place: Place; type: FoundType }> {
  const budget: Budget = { links: 0, steps: 0 };
  let place = await placeOf(root, names, budget);
  let link: Place | undefined;
  for (;;) {
    const type = await typeAt(place);
    if (type !== 'link') {
      if (type === 'missing' && link !== undefined) {
        await root.keeper.close(place.directory);
        return { place: link, type };
      }
      if (link !== undefined) await root.keeper.close(link.directory);
      return { place, type };
    }
    const target = await readTarget(place.directory, place.name, budget);
    const next = [...(target.startsWith('/') ? [] : place.names), ...splitNames(target)];
    if (next.length === 0) {
      return { place: { ...place, name: '.' }, type: 'directory' };
    }
    if (link === undefined) link = place;
    else await root.keeper.close(place.directory);
    try {
      place = await placeOf({ ...root, make: undefined }, next, budget);
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
      return { place: link, type: 'missing' };
    }
  }
}

/** The place itself, whatever is there: a link is not followed. The directory is the caller's to close. */
export function findEntry(root: Root, names: readonly string[]): Promise<Place> {
  return placeOf(root, names, { links: 0, steps: 0 });
}

async function placeOf(root: Root, names: readonly string[], budget: Budget): Promise<Place> {
  const last = names.at(-1) ?? '.';
  const above = last === '..' ? names : names.slice(0, -1);
  const { directory, names: real } = await walk(root, above, budget);
  return { directory, names: real, name: last === '..' ? '.' : last };
}

/** Opens the directory at the end of `names`. */
async function walk(root: Root, names: readonly string[], budget: Budget) {
  let pending: Step[] = names.map((name) => ({ name, fromLink: false }));
  let real: string[] = [];
  let directory = await reopenRoot(root);
  const startAgain = async (steps: Step[]) => {
    await root.keeper.close(directory);
    directory = await reopenRoot(root);
    pending = steps;
    real = [];
  };
  const toSteps = (parts: readonly string[]) => parts.map((name) => ({ name, fromLink: false }));
  for (let step = pending.shift(); step !== undefined; step = pending.shift()) {
    budget.steps += 1;
    if (budget.steps > MAX_STEPS) throw tooManyLinks();
    if (step.name === '..') {
      let up = 1;
      while (pending[0]?.name === '..') {
        pending.shift();
        up += 1;
      }
      await startAgain([...toSteps(real.slice(0, Math.max(0, real.length - up))), ...pending]);
      continue;
    }
    try {
      const inner = await openOrMake(root, directory, step);
      await root.keeper.close(directory);
      directory = inner;
      real.push(step.name);
    } catch (error) {
      const code = systemCode(error);
      if (code !== 'ENOTDIR' && code !== 'ELOOP') throw error;
      const target = await readTarget(directory, step.name, budget).catch((failure: unknown) => {
        // No link: then it is what the kernel said, no directory.
        throw systemCode(failure) === 'EINVAL' ? error : failure;
      });
      const base = target.startsWith('/') ? [] : toSteps(real);
      const followed = splitNames(target).map((name) => ({ name, fromLink: true }));
      await startAgain([...base, ...followed, ...pending]);
    }
  }
  return { directory, names: real };
}

async function openOrMake(root: Root, directory: FileHandle, step: Step): Promise<FileHandle> {
  const entry = entryOf(directory, step.name);
  try {
    return await root.keeper.open(entry, OPEN_DIRECTORY);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' || root.make === undefined || step.fromLink) throw error;
  }
  await root.make(directory, entry);
  return root.keeper.open(entry, OPEN_DIRECTORY);
}

function reopenRoot({ handle, keeper }: Root): Promise<FileHandle> {
  return keeper.open(`/proc/self/fd/${handle.fd}/.`, OPEN_DIRECTORY);
}

async function readTarget(directory: FileHandle, name: string, budget: Budget): Promise<string> {
  const target = await readlink(entryOf(directory, name), 'buffer');
  budget.links += 1;
  if (budget.links > MAX_LINKS) throw tooManyLinks();
  return target.toString('latin1');
}

async function typeAt({ directory, name }: Place): Promise<FoundType | 'link'> {
  try {
    const stats = await lstat(entryOf(directory, name));
    if (stats.isFile()) return 'file';
    if (stats.isDirectory()) return 'directory';
    return stats.isSymbolicLink() ? 'link' : 'other';
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 'missing';
    throw error;
  }
}

function tooManyLinks(): Error {
  return refusal('parent_missing', 'The path goes through too many symbolic links');
}

/** A {@link Root.make} that gives new directories mode 0755 and an owner; an owner of undefined is left as it is. */
export function createMaker(keeper: HandleKeeper, owner: { uid: number; gid: number } | undefined) {
  return async (parent: FileHandle, entry: Buffer): Promise<void> => {
    try {
      await mkdir(entry, 0o755);
    } catch (error) {
      if (systemCode(error) === 'EEXIST') return;
      throw error;
    }
    const handle = await keeper.open(entry, OPEN_DIRECTORY);
    if (owner !== undefined) await handle.chown(owner.uid, owner.gid);
    await handle.chmod(0o755);
    await keeper.close(handle);
    await parent.sync();
  };
}
