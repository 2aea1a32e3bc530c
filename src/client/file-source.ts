import { type BigIntStats, closeSync, constants, fstatSync, openSync, read, readSync } from 'node:fs';
import { CodedError } from '../errors.ts';
import type { Source } from './source.ts';
import { changedError, unreadable } from './source-error.ts';

/** Files up to this size are read at once and sent in one piece. */
const SINGLE_PIECE_BYTES = 256 * 1024;
const PIECE_BYTES = 512 * 1024;
/** Clocks of file systems step by as much: what is written within one step of a change leaves the same time behind. */
const TIME_STEP_MS = 10;
/** One piece on its way to the socket, one being read ahead. */
const PIECES = 2;

export type FileSource = Source & { readonly sizeBytes: number; readonly mode: number };

/**
 * Opens a regular file for sending. Anything else (a directory, a device, a pipe) and what cannot be opened is
 * `source_unreadable`.
 */
export function openFileSource(path: string): FileSource {
  const fd = openFile(path);
  let stats: BigIntStats;
  try {
    stats = fstatSync(fd, { bigint: true });
    checkKind(path, stats);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  const sizeBytes = Number(stats.size);
  const changed = (): boolean => {
    const now = fstatSync(fd, { bigint: true });
    return now.size !== stats.size || now.mtimeNs !== stats.mtimeNs || now.ino !== stats.ino;
  };
  const check = (): void => {
    if (changed()) throw changedError(path);
  };
  let open = true;
  return {
    name: path,
    sizeBytes,
    mode: Number(stats.mode) & 0o7777,
    rewindable: true,
    body: async () => {
      await untilStepped(Number(stats.mtimeMs));
      if (sizeBytes > SINGLE_PIECE_BYTES) return readPieces(fd, path, sizeBytes, check);
      const buffer = Buffer.allocUnsafe(sizeBytes);
      readWhole(fd, path, buffer);
      check();
      return buffer;
    },
    close: async () => {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

/** Resolves when a change from now on is sure to show in the file's time. */
export async function untilStepped(changedAtMs: number): Promise<void> {
  for (;;) {
    const leftMs = changedAtMs + TIME_STEP_MS - Date.now();
    // A time ahead of the clock was set by somebody; a change sets it back.
    if (leftMs < 0 || leftMs > TIME_STEP_MS) return;
    await new Promise((resolve) => setTimeout(resolve, leftMs + 1));
  }
}

function openFile(path: string): number {
  try {
    // O_NONBLOCK: opening a named pipe that nobody writes to would wait for ever.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw unreadable(path, error);
  }
}

function checkKind(path: string, stats: BigIntStats): void {
  if (stats.isFile()) return;
  if (stats.isDirectory())
    throw new CodedError('source_unreadable', `${path} is a directory; use -r to send it`);
  throw new CodedError(
    'source_unreadable',
    `${path} is not a regular file; pipe it in and give - as the source`,
  );
}

function readWhole(fd: number, path: string, buffer: Buffer): void {
  let filled = 0;
  while (filled < buffer.length) {
    let bytes: number;
    try {
      bytes = readSync(fd, buffer, filled, buffer.length - filled, filled);
    } catch (error) {
      throw unreadable(path, error);
    }
    if (bytes === 0) throw changedError(path);
    filled += bytes;
  }
}

/** Yields the file in pieces from a small pool, reading one ahead. */
async function* readPieces(
  fd: number,
  path: string,
  sizeBytes: number,
  check: () => void,
): AsyncGenerator<Buffer> {
  const pool = Array.from({ length: PIECES }, () => Buffer.allocUnsafeSlow(PIECE_BYTES));
  let offset = 0;
  let turn = 0;
  const next = (): Promise<Buffer> | undefined => {
    const length = Math.min(PIECE_BYTES, sizeBytes - offset);
    if (length === 0) return undefined;
    const buffer = (pool[turn] as Buffer).subarray(0, length);
    const at = offset;
    offset += length;
    turn = (turn + 1) % PIECES;
    return fill(fd, path, buffer, at);
  };
  let ahead = next();
  while (ahead !== undefined) {
    const piece = await ahead;
    ahead = next();
    // Nothing awaits it before the piece in hand is sent; a failure is seen then, not as an unhandled rejection.
    ahead?.catch(() => undefined);
    if (ahead === undefined) check();
    yield piece;
  }
}

function fill(fd: number, path: string, buffer: Buffer, offset: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const step = (filled: number): void => {
      read(fd, buffer, filled, buffer.length - filled, offset + filled, (error, bytes) => {
        if (error !== null) reject(unreadable(path, error));
        else if (bytes === 0) reject(changedError(path));
        else if (filled + bytes === buffer.length) resolve(buffer);
        else step(filled + bytes);
      });
    };
    step(0);
  });
}
