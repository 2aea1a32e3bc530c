/** Writes a payload into an open file, a large one past the page cache, reading the next pieces while one is written. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { DIRECT_LEAST_BYTES, isWholePages } from '../../base/direct-io.ts';
import { systemCode } from '../../errors.ts';
import type { Deadline } from '../deadline.ts';
import type { PayloadSource } from '../payload-source.ts';
import { PieceReader } from '../piece-reader.ts';
import { inTurn } from './disk-turns.ts';

/** Resolves to the number of bytes written. Time counts only while the file system is waited for. */
export async function writePayload(
  file: FileHandle,
  payload: PayloadSource,
  deadline: Deadline,
  onProgress: (bytes: number) => void,
): Promise<number> {
  if (payload.inline !== undefined) {
    const { inline } = payload;
    await deadline.run('write', () => writeAll(file, inline, 0));
    onProgress(inline.length);
    return inline.length;
  }
  const isLarge = (payload.expectedBytes ?? 0) >= DIRECT_LEAST_BYTES;
  const large = isLarge ? await openLargeInTime(file, deadline) : undefined;
  const pieces = new PieceReader(payload);
  let release: (() => void) | undefined;
  try {
    for (let offset = 0; ; ) {
      const piece = await pieces.next((next) => deadline.wait('read', () => next));
      release = piece.release;
      if (piece.data.length === 0) return offset;
      await deadline.run('write', () => {
        release = undefined;
        // Only after the write: one that hangs goes on using the memory.
        return writePiece(file, large, piece.data, offset).finally(piece.release);
      });
      offset += piece.data.length;
      onProgress(offset);
    }
  } finally {
    release?.();
    pieces.close();
    // It waits for a write that still hangs. What went wrong with the file the other handle tells, which is synced.
    large?.direct?.close().catch(() => {});
  }
}

type Large = { readonly device: number; readonly direct: FileHandle | undefined };

/** One that is there too late is closed. */
function openLargeInTime(file: FileHandle, deadline: Deadline): Promise<Large> {
  const opening = openLarge(file);
  return deadline
    .run('open', () => opening)
    .catch((error: unknown) => {
      opening.then(
        ({ direct }) => direct?.close(),
        () => {},
      );
      throw error;
    });
}

/** Opens the same file past the page cache, where its file system has such a thing. */
async function openLarge(file: FileHandle): Promise<Large> {
  const { dev } = await file.stat();
  const path = `/proc/self/fd/${file.fd}`;
  const direct = await open(path, constants.O_WRONLY | constants.O_DIRECT).catch(() => undefined);
  return { device: dev, direct };
}

async function writePiece(file: FileHandle, large: Large | undefined, data: Buffer, offset: number) {
  if (large === undefined) return writeAll(file, data, offset);
  const { device, direct } = large;
  return inTurn(device, () =>
    direct === undefined || !isWholePages(offset, data.length)
      ? writeAll(file, data, offset)
      : writeDirect(file, direct, data, offset),
  );
}

async function writeDirect(file: FileHandle, direct: FileHandle, data: Buffer, offset: number) {
  try {
    await writeAll(direct, data, offset);
  } catch (error) {
    // What the file system or the memory is not aligned to; also the rest of a write that was cut short.
    if (systemCode(error) !== 'EINVAL') throw error;
    await writeAll(file, data, offset);
  }
}

async function writeAll(file: FileHandle, data: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < data.length; ) {
    const { bytesWritten } = await file.write(data, done, data.length - done, offset + done);
    done += bytesWritten;
  }
}
