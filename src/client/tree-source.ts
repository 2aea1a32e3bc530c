import { closeSync, constants, fstatSync, open, read, type Stats } from 'node:fs';
import { openFileSource, untilStepped } from './file-source.ts';
import type { Source } from './source.ts';
import { changedError, unreadable } from './source-error.ts';
import { paddedBytes, TAR_END_BYTES, tarHeadBytes, writeTarHead } from './tar-writer.ts';
import type { Tree, TreeEntry } from './tree.ts';

const PIECE_BYTES = 512 * 1024;
/** Larger files are read piece by piece, smaller ones many at once into one piece. */
const LARGE_BYTES = 256 * 1024;
/** Small files that are read at the same time: enough for storage that answers late, few enough for the descriptors. */
const READERS = 16;

/**
 * A tree as one tar archive, of a length that is known beforehand. It is read again from the files for each attempt; a
 * file that is not as it was when the tree was looked at ends it with `source_unreadable`, before the archive is whole.
 */
export function openTreeSource(name: string, tree: Tree): Source {
  let sizeBytes = TAR_END_BYTES;
  for (const entry of tree.entries) sizeBytes += tarHeadBytes(entry) + paddedBytes(entry.sizeBytes);
  return {
    name,
    sizeBytes,
    rewindable: true,
    extract: 'tar',
    files: tree.files,
    body: async () => {
      await untilStepped(lastChange(tree.entries, Date.now()));
      return pieces(tree.entries);
    },
    close: async () => undefined,
  };
}

/** Times ahead of the clock left aside. */
function lastChange(entries: readonly TreeEntry[], nowMs: number): number {
  let lastMs = 0;
  for (const { mtimeMs } of entries) if (mtimeMs > lastMs && mtimeMs <= nowMs) lastMs = mtimeMs;
  return lastMs;
}

/** What is composed in one go: some entries, or one large file. */
type Step = { readonly batch: readonly TreeEntry[]; readonly large: TreeEntry | undefined };

async function* pieces(entries: readonly TreeEntry[]): AsyncGenerator<Buffer> {
  const steps = stepsOf(entries);
  const take = (): { step: Step; head: Promise<Buffer> } | undefined => {
    const { value, done } = steps.next();
    if (done === true) return undefined;
    const head = compose(value);
    // Nothing awaits it before the piece in hand is sent; a failure is seen then, not as an unhandled rejection.
    head.catch(() => undefined);
    return { step: value, head };
  };
  let current = take();
  while (current !== undefined) {
    const { step, head } = current;
    const piece = await head;
    current = take();
    if (piece.length > 0) yield piece;
    if (step.large !== undefined) yield* largeFile(step.large);
  }
  yield Buffer.alloc(TAR_END_BYTES);
}

function* stepsOf(entries: readonly TreeEntry[]): Generator<Step, undefined> {
  let batch: TreeEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    batch.push(entry);
    bytes += tarHeadBytes(entry);
    const large = entry.sizeBytes > LARGE_BYTES;
    if (!large) bytes += paddedBytes(entry.sizeBytes);
    if (!large && bytes < PIECE_BYTES) continue;
    yield { batch, large: large ? entry : undefined };
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield { batch, large: undefined };
  return undefined;
}

/** The heads of a batch and the contents of its small files; of a large one, which comes last, the head alone. */
async function compose({ batch, large }: Step): Promise<Buffer> {
  let length = 0;
  for (const entry of batch) {
    length += tarHeadBytes(entry) + (entry === large ? 0 : paddedBytes(entry.sizeBytes));
  }
  const buffer = Buffer.alloc(length);
  const wanted: { entry: TreeEntry; at: number }[] = [];
  let at = 0;
  for (const entry of batch) {
    at = writeTarHead(entry, buffer, at);
    if (entry === large || entry.kind !== 'file') continue;
    wanted.push({ entry, at });
    at += paddedBytes(entry.sizeBytes);
  }
  let next = 0;
  const reader = async (): Promise<void> => {
    for (let item = wanted[next++]; item !== undefined; item = wanted[next++]) {
      await readSmall(item.entry, buffer, item.at);
    }
  };
  await Promise.all(Array.from({ length: Math.min(READERS, wanted.length) }, reader));
  return buffer;
}

/**
 * Opening and reading may wait for storage, so they are left to other threads. By callbacks, and the rest here and now, as
 * the ways there and back are most of what sending many small files costs.
 */
function readSmall(entry: TreeEntry, buffer: Buffer, at: number): Promise<void> {
  const { path, sizeBytes } = entry;
  return new Promise((resolve, reject) => {
    const end = (fd: number, error?: Error): void => {
      closeSync(fd);
      if (error !== undefined) reject(error);
      else resolve();
    };
    const step = (fd: number, filled: number): void => {
      if (filled === sizeBytes) {
        end(fd, isSame(entry, fstatSync(fd)) ? undefined : changedError(path));
        return;
      }
      read(fd, buffer, at + filled, sizeBytes - filled, filled, (error, bytes) => {
        if (error !== null) end(fd, unreadable(path, error));
        else if (bytes === 0) end(fd, changedError(path));
        else step(fd, filled + bytes);
      });
    };
    // O_NONBLOCK: it may have become a named pipe meanwhile, whose opening would wait for ever.
    open(path, constants.O_RDONLY | constants.O_NONBLOCK, (error, fd) => {
      if (error !== null) reject(unreadable(path, error));
      else step(fd, 0);
    });
  });
}

function isSame({ sizeBytes, mtimeMs, inode }: TreeEntry, stats: Stats): boolean {
  return stats.size === sizeBytes && stats.mtimeMs === mtimeMs && stats.ino === inode;
}

async function* largeFile(entry: TreeEntry): AsyncGenerator<Buffer> {
  const source = openFileSource(entry.path);
  try {
    if (source.sizeBytes !== entry.sizeBytes) throw changedError(entry.path);
    const body = await source.body();
    if (Buffer.isBuffer(body)) yield body;
    else yield* body;
    const padding = paddedBytes(entry.sizeBytes) - entry.sizeBytes;
    if (padding > 0) yield Buffer.alloc(padding);
  } finally {
    await source.close();
  }
}
