/**
 * Writes a payload into an open file of an instance, many chunks in flight, the next piece read meanwhile. Resolves when
 * the instance has confirmed every byte. The memory of a piece is released when the socket has let go of all of it.
 */
import type { Deadline } from '../deadline.ts';
import type { PayloadSource } from '../payload-source.ts';
import { PieceReader } from '../piece-reader.ts';
import type { SftpSession } from './sftp-session.ts';
import { WriteWindow } from './write-window.ts';

/** Half of what the helper takes in one packet; larger ones are no faster. */
const CHUNK_BYTES = 128 * 1024;
const MAX_IN_FLIGHT = 32;

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
  const send: Send = async (data, offset, release) => {
    await window.room();
    await session.writable();
    if (deadline.over) throw new Error('The delivery has ended');
    deadline.counting = true;
    window.add(session.write(handle, offset, data, release), () => {
      confirmed += data.length;
      // Nothing is asked of the instance any more when all is confirmed: time counts again with the next write.
      deadline.counting = window.inFlight > 0;
      onProgress(confirmed);
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

/** Rejects when the chunk was not handed to the socket; `release` is called then by who asked. */
type Send = (data: Buffer, offset: number, release: () => void) => Promise<void>;

async function sendPieces(
  payload: PayloadSource,
  window: WriteWindow,
  deadline: Deadline,
  send: Send,
): Promise<number> {
  const pieces = new PieceReader(payload);
  deadline.counting = false;
  try {
    for (let offset = 0; ; ) {
      const { data, release } = await pieces.next((piece) => window.during(piece));
      if (data.length === 0) {
        release();
        return offset;
      }
      offset += await sendChunks(data, offset, release, send);
    }
  } finally {
    pieces.close();
  }
}

async function sendChunks(data: Buffer, offset: number, release: () => void, send: Send): Promise<number> {
  let left = Math.ceil(data.length / CHUNK_BYTES);
  const releaseChunk = () => {
    left -= 1;
    if (left === 0) release();
  };
  for (let at = 0; at < data.length; at += CHUNK_BYTES) {
    try {
      await send(data.subarray(at, at + CHUNK_BYTES), offset + at, releaseChunk);
    } catch (error) {
      for (let rest = at; rest < data.length; rest += CHUNK_BYTES) releaseChunk();
      throw error;
    }
  }
  return data.length;
}
