import { isUtf8 } from 'node:buffer';
import { accessSync, constants, lstatSync, readdirSync, readlinkSync, type Stats, statSync } from 'node:fs';
import { setImmediate as breath } from 'node:timers/promises';
import { CodedError, systemCode } from '../errors.ts';
import { baseName } from '../protocol/names.ts';
import type { PathFilter } from './path-filter.ts';
import { unreadable } from './source-error.ts';
import type { Tree, TreeEntry } from './tree.ts';

/** So many entries are looked at before others get their turn, among them Ctrl-C. */
const ENTRIES_PER_BREATH = 1024;
const REPLACEMENT = '\ufffd';

export type WalkOptions = {
  /** Symbolic links are followed. */
  readonly dereference: boolean;
  readonly filter: PathFilter;
  readonly signal?: AbortSignal;
};

/**
 * Looks at sources and all that is below them. `DIR` goes under its own name, the contents of `DIR/.` and of `/` without
 * one. Sockets, pipes and devices below a directory are skipped. What cannot be read, has no UTF-8 name or would replace
 * another is `source_unreadable`, so that nothing is sent of a tree that could not be sent whole.
 */
export async function walkTree(sources: readonly string[], options: WalkOptions): Promise<Tree> {
  const { dereference, filter, signal } = options;
  const entries: TreeEntry[] = [];
  const skipped: string[] = [];
  const names = new Set<string>();
  // Root may read whatever there is.
  const checkAccess = process.geteuid?.() !== 0;
  /** Directories that lead to the one at hand, to see a link that leads back to one of them. */
  const above = new Set<string>();
  let looked = 0;
  let files = 0;

  const add = (entry: TreeEntry): void => {
    if (names.has(entry.name)) {
      if (entry.kind === 'directory') return;
      throw new CodedError(
        'source_unreadable',
        `Two files would become ${entry.name}, one would replace the other; push them one by one`,
      );
    }
    names.add(entry.name);
    entries.push(entry);
    if (entry.kind !== 'directory') files += 1;
  };

  /** Undefined when the filter leaves it out, be it that it cannot be looked at. */
  const lookAtChosen = (path: string, follow: boolean, relative: string): Stats | undefined => {
    try {
      const stats = lookAt(path, follow);
      return filter(relative, stats.isDirectory()) ? undefined : stats;
    } catch (error) {
      if (filter(relative, false)) return undefined;
      throw error;
    }
  };

  const visit = async (path: string, name: string, relative: string, follow: boolean): Promise<void> => {
    looked += 1;
    if (looked % ENTRIES_PER_BREATH === 0) await breath();
    signal?.throwIfAborted();
    const stats = relative === '' ? lookAt(path, follow) : lookAtChosen(path, follow, relative);
    if (stats === undefined) return;
    const mode = stats.mode & 0o7777;
    const common = { path, mode, sizeBytes: 0, mtimeMs: stats.mtimeMs, inode: stats.ino, target: '' };
    if (stats.isDirectory()) {
      const identity = `${stats.dev}:${stats.ino}`;
      if (above.has(identity)) {
        skipped.push(`${path}: skipped, as it leads back to a directory above it`);
        return;
      }
      if (name !== '') add({ ...common, name: `${name}/`, kind: 'directory' });
      above.add(identity);
      const within = (child: string): string => (relative === '' ? child : `${relative}/${child}`);
      for (const child of namesIn(path, (name) => filter(within(name), false))) {
        const childName = name === '' ? child : `${name}/${child}`;
        await visit(join(path, child), childName, within(child), dereference);
      }
      above.delete(identity);
    } else if (stats.isSymbolicLink()) {
      add({ ...common, name, kind: 'symlink', mode: 0o777, target: targetOf(path) });
    } else if (stats.isFile()) {
      if (checkAccess) refuseUnreadable(path);
      add({ ...common, name, kind: 'file', sizeBytes: stats.size });
    } else {
      skipped.push(`${path}: skipped, as it is ${kindOf(stats)}`);
    }
  };

  for (const source of sources) {
    const contents = /(?:^|\/)\.{1,2}\/*$|^\/+$/.test(source);
    const name = contents ? '' : nameOf(source);
    // As for cp and mv, a final slash means what a link leads to.
    const follow = dereference || contents || source.endsWith('/');
    const before = entries.length;
    const path = contents ? source : source.replace(/\/+$/, '');
    await visit(path, name, '', follow);
    if (entries.length === before && skipped.length > 0) refuseSpecial(path, follow);
  }
  return { entries, files, skipped };
}

function lookAt(path: string, follow: boolean): Stats {
  try {
    return follow ? statSync(path) : lstatSync(path);
  } catch (error) {
    if (
      follow &&
      systemCode(error) === 'ENOENT' &&
      lstatSync(path, { throwIfNoEntry: false }) !== undefined
    ) {
      const message = `Cannot read ${path}: it is a link that leads nowhere; remove it, or leave it out with --exclude`;
      throw new CodedError('source_unreadable', message, { cause: error });
    }
    throw unreadable(path, error);
  }
}

/** A device or pipe that was asked for by name: it has contents, but not of the kind that a tree can take. */
function refuseSpecial(path: string, follow: boolean): void {
  const stats = lookAt(path, follow);
  if (stats.isDirectory()) return;
  throw new CodedError(
    'source_unreadable',
    `${path} is ${kindOf(stats)}; pipe it in and give - as the source`,
  );
}

function kindOf(stats: Stats): string {
  if (stats.isSocket()) return 'a socket';
  return stats.isFIFO() ? 'a pipe' : 'a device';
}

function refuseUnreadable(path: string): void {
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    throw unreadable(path, error);
  }
}

function namesIn(path: string, excluded: (name: string) => boolean): string[] {
  try {
    const names = readdirSync(path).sort();
    // Bytes that are no UTF-8 become this character, which a name may also have by itself.
    if (!names.some((name) => name.includes(REPLACEMENT))) return names;
    const usable: string[] = [];
    for (const bytes of readdirSync(path, 'buffer')) {
      const name = bytes.toString();
      if (isUtf8(bytes)) usable.push(name);
      else if (!excluded(name)) throw notUtf8(join(path, ''), bytes);
    }
    return usable.sort();
  } catch (error) {
    throw error instanceof CodedError ? error : unreadable(path, error);
  }
}

function targetOf(path: string): string {
  try {
    const target = readlinkSync(path);
    if (target.includes(REPLACEMENT)) {
      const bytes = readlinkSync(path, 'buffer');
      if (!isUtf8(bytes)) throw notUtf8(`the target of ${path}, `, bytes);
    }
    return target;
  } catch (error) {
    throw error instanceof CodedError ? error : unreadable(path, error);
  }
}

function nameOf(source: string): string {
  const name = baseName(source);
  if (name.includes(REPLACEMENT)) throw notUtf8('', Buffer.from(name));
  return name;
}

function notUtf8(before: string, bytes: Buffer): CodedError {
  const shown = bytes
    .toString('latin1')
    .replace(/[^\x20-\x7e]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return new CodedError(
    'source_unreadable',
    `Cannot send ${before}${shown}: the name is not UTF-8; rename it, or leave it out with --exclude`,
  );
}

function join(directory: string, name: string): string {
  return directory.endsWith('/') ? directory + name : `${directory}/${name}`;
}
