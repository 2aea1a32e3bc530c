/** Writes a payload into an open file, reading the next piece while one is written. */
import type { FileHandle } from 'node:fs/promises';
import type { Deadline } from '../deadline.ts';
import { payloadError } from '../failure.ts';
import type { PayloadSource } from '../payload-source.ts';
import { givePieceBuffer, takePieceBuffer } from '../piece-buffers.ts';

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
  let offset = 0;
  let next = readPiece(payload, 0);
  try {
    for (;;) {
      const piece = await deadline.wait('read', () => next);
      if (piece.bytes === 0) return offset;
      const at = offset;
      offset += piece.bytes;
      next = readPiece(payload, offset);
      // It may fail while this piece is written; it is looked at in the next round.
      next.catch(() => {});
      await deadline.run('write', () => writeAll(file, piece.buffer.subarray(0, piece.bytes), at));
      givePieceBuffer(piece.buffer);
      onProgress(offset);
    }
  } finally {
    next.then(
      ({ buffer }) => givePieceBuffer(buffer),
      () => {},
    );
  }
}

async function readPiece(payload: PayloadSource, offset: number) {
  const buffer = takePieceBuffer();
  try {
    return { buffer, bytes: await payload.read(buffer, offset) };
  } catch (error) {
    throw payloadError(error);
  }
}

async function writeAll(file: FileHandle, data: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < data.length; ) {
    const { bytesWritten } = await file.write(data, done, data.length - done, offset + done);
    done += bytesWritten;
  }
}
