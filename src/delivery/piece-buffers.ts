/**
 * Buffers of one piece each (1 MiB), used again instead of allocated anew: a fast delivery goes through a thousand
 * pieces a second. Keeps at most `MAX_FREE` free ones.
 */
export const PIECE_BYTES = 1024 * 1024;

const MAX_FREE = 48;
const free: Buffer[] = [];

export function takePieceBuffer(): Buffer {
  return free.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES);
}

/** Only for a buffer that nobody writes to or reads from any more; one of a broken connection is dropped instead. */
export function givePieceBuffer(buffer: Buffer): void {
  if (free.length < MAX_FREE) free.push(buffer);
}
