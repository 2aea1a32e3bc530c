/**
 * Writes a payload into an open file of an instance, many pieces in flight, the next one read meanwhile. Resolves when
 * the instance has confirmed every byte. Owns the buffers it reads into; of a failed delivery they are dropped, since
 * the socket may still hold them.
 */
import type { Deadline } from '../deadline.ts';
import { payloadError } from '../failure.ts';
import type { PayloadSource } from '../payload-source.ts';
import { givePieceBuffer, takePieceBuffer } from '../piece-buffers.ts';
import type { SftpSession } from './sftp-session.ts';
import { WriteWindow } from './write-window.ts';

/** Half of what the helper takes in one packet; larger ones are no faster. */
const CHUNK_BYTES = 128 * 1024;
const MAX_IN_FLIGHT = 32;

type Piece = { readonly buffer: Buffer; readonly bytes: number };

/** Resolves to the number of bytes sent. Time counts against the deadline only while the instance is waited for. */
export async function sendPayload(
  session: SftpSession,
  handle: Buffer,
  payload: PayloadSource,
  deadline: Deadline,
  onProgress: (bytes: number) => void,
): Promise<number> {
  const window = new WriteWindow(MAX_IN_FLIGHT);
  let confirmed = 0;
  const send = async (data: Buffer, offset: number, done: () => void) => {
    await window.room();
    await session.writable();
    if (deadline.over) throw new Error('The delivery has ended');
    deadline.counting = true;
    window.add(session.write(handle, offset, data), () => {
      confirmed += data.length;
      // Nothing is asked of the instance any more when all is confirmed: time counts again with the next write.
      deadline.counting = window.inFlight > 0;
      onProgress(confirmed);
      done();
    });
  };
  return deadline.run('write', async () => {
    const sent =
      payload.inline === undefined
        ? await sendPieces(payload, window, deadline, send)
        : await sendChunks(payload.inline, 0, () => {}, send);
    await window.empty();
    return sent;
  });
}

type Send = (data: Buffer, offset: number, done: () => void) => Promise<void>;

async function sendPieces(
  payload: PayloadSource,
  window: WriteWindow,
  deadline: Deadline,
  send: Send,
): Promise<number> {
  let offset = 0;
  deadline.counting = false;
  let next = readPiece(payload, 0);
  try {
    for (;;) {
      const piece = await window.during(next);
      if (piece.bytes === 0) return offset;
      next = readPiece(payload, offset + piece.bytes);
      // It may fail while the writes before it are awaited; it is looked at in the next round.
      next.catch(() => {});
      const data = piece.buffer.subarray(0, piece.bytes);
      await sendChunks(data, offset, () => givePieceBuffer(piece.buffer), send);
      offset += piece.bytes;
    }
  } finally {
    next.then(
      ({ buffer }) => givePieceBuffer(buffer),
      () => {},
    );
  }
}

async function sendChunks(data: Buffer, offset: number, done: () => void, send: Send): Promise<number> {
  let left = Math.ceil(data.length / CHUNK_BYTES);
  const chunkDone = () => {
    left -= 1;
    if (left === 0) done();
  };
  for (let at = 0; at < data.length; at += CHUNK_BYTES) {
    await send(data.subarray(at, at + CHUNK_BYTES), offset + at, chunkDone);
  }
  return data.length;
}

async function readPiece(payload: PayloadSource, offset: number): Promise<Piece> {
  const buffer = takePieceBuffer();
  try {
    return { buffer, bytes: await payload.read(buffer, offset) };
  } catch (error) {
    throw payloadError(error);
  }
}
