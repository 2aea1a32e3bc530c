/**
 * What of an archive may be unpacked into a directory: nothing outside it, nothing through a link of the archive. Keeps
 * the names it has seen, up to a bound. Throws `unsafe_archive` with a sentence that names the entry.
 */
import { CodedError } from '../errors.ts';
import type { TarEntry } from './tar-parser.ts';

/** Names are relative, without `.` or a final `/`; the directory itself is the empty name. */
export type TreeEntry =
  | { readonly kind: 'directory'; readonly name: string; readonly mode: number }
  | { readonly kind: 'symlink'; readonly name: string; readonly target: string }
  | ({ readonly kind: 'file'; readonly name: string } & FileContent);

/** That of a hard link is the content of the file it is linked to. */
export type FileContent = { readonly mode: number; readonly sizeBytes: number; readonly offset: number };

const MAX_ENTRIES = 1_000_000;
const MAX_NAME_BYTES_IN_ALL = 128 * 1024 * 1024;
const MAX_PATH_BYTES = 3800;
const MAX_NAME_BYTES = 255;
/** Each directory on the way to an entry is remembered, and looked up for each entry. */
const MAX_DEPTH = 256;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class Tree {
  readonly #seen = new Map<string, 'directory' | 'symlink' | FileContent>();
  #entries = 0;
  #nameBytes = 0;
  /** Regular files and links. */
  files = 0;

  add(entry: TarEntry): TreeEntry {
    this.#entries += 1;
    this.#nameBytes += entry.name.length;
    if (this.#entries > MAX_ENTRIES || this.#nameBytes > MAX_NAME_BYTES_IN_ALL)
      throw new CodedError(
        'unsafe_archive',
        `The archive has more than ${MAX_ENTRIES} entries, or too many long names`,
      );
    const name = checkedName(entry.name, 'the name');
    const shown = JSON.stringify(name);
    if (entry.kind === 'other') throw unsafe(shown, 'is a device, a pipe or of an unknown kind');
    this.#checkParents(name, shown);
    if (name === '' && entry.kind !== 'directory') throw unsafe(shown, 'has no name');
    if (entry.kind === 'directory') {
      this.#remember(name, 'directory', shown);
      return { kind: 'directory', name, mode: entry.mode };
    }
    if (entry.kind === 'symlink') {
      const target = decode(entry.target);
      if (
        target === undefined ||
        target === '' ||
        target.includes('\0') ||
        entry.target.length > MAX_PATH_BYTES
      )
        throw unsafe(shown, 'is a link to no possible name');
      this.#remember(name, 'symlink', shown);
      this.files += 1;
      return { kind: 'symlink', name, target };
    }
    const content = entry.kind === 'hardlink' ? this.#linked(entry, shown) : contentOf(entry);
    this.#remember(name, content, shown);
    this.files += 1;
    return { kind: 'file', name, ...content };
  }

  #linked(entry: TarEntry, shown: string): FileContent {
    const target = checkedName(entry.target, `the link ${shown} to`);
    const content = this.#seen.get(target);
    if (typeof content !== 'object') throw unsafe(shown, 'is a hard link to no earlier file of the archive');
    return content;
  }

  #checkParents(name: string, shown: string): void {
    for (let slash = name.indexOf('/'); slash > 0; slash = name.indexOf('/', slash + 1)) {
      const parent = name.slice(0, slash);
      const kind = this.#seen.get(parent);
      if (kind === undefined) {
        this.#seen.set(parent, 'directory');
        this.#entries += 1;
      } else if (kind !== 'directory')
        throw unsafe(shown, `goes through ${JSON.stringify(parent)}, which is no directory`);
    }
  }

  #remember(name: string, kind: 'directory' | 'symlink' | FileContent, shown: string): void {
    const before = this.#seen.get(name);
    if (before !== undefined && typeName(before) !== typeName(kind))
      throw unsafe(shown, 'is there twice, as things of different kinds');
    this.#seen.set(name, kind);
  }
}

function contentOf({ mode, sizeBytes, offset }: TarEntry): FileContent {
  return { mode, sizeBytes, offset };
}

function typeName(kind: 'directory' | 'symlink' | FileContent): string {
  return typeof kind === 'object' ? 'file' : kind;
}

function checkedName(bytes: Buffer, what: string): string {
  const text = decode(bytes);
  const shown = JSON.stringify(bytes.toString('utf8').slice(0, 300));
  if (text === undefined) throw unsafe(shown, 'has a name that is not UTF-8', what);
  if (text === '') throw unsafe(shown, 'has no name', what);
  if (text.includes('\0')) throw unsafe(shown, 'has a name with a zero byte', what);
  if (text.startsWith('/')) throw unsafe(shown, 'has an absolute name', what);
  if (bytes.length > MAX_PATH_BYTES) throw unsafe(shown, 'has a name that is too long', what);
  const parts = text.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.length > MAX_DEPTH) throw unsafe(shown, 'lies too deep', what);
  for (const part of parts) {
    if (part === '..') throw unsafe(shown, 'leads out of the directory', what);
    if (Buffer.byteLength(part) > MAX_NAME_BYTES) throw unsafe(shown, 'has a name that is too long', what);
  }
  return parts.join('/');
}

function decode(bytes: Buffer): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function unsafe(shown: string, why: string, what = 'the name'): CodedError {
  const which = what === 'the name' ? `The entry ${shown}` : `What ${what} ${shown}`;
  return new CodedError('unsafe_archive', `${which} of the archive ${why}; nothing was unpacked`);
}
