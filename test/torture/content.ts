import { createCipheriv, createHash } from 'node:crypto';
import { read } from 'node:fs';

const PIECE_BYTES = 256 * 1024;
const ZEROS = Buffer.alloc(PIECE_BYTES);

/** The bytes of every upload of a run: a key stream of AES, its key from the seed, its start from the upload's number. */
export class Content {
  readonly #key: Buffer;

  constructor(seed: string) {
    this.#key = createHash('sha256').update(seed).digest().subarray(0, 16);
  }

  /** The bytes in pieces of at most 256 KiB. */
  *pieces(number: number, sizeBytes: number): Generator<Buffer> {
    const start = Buffer.alloc(16);
    start.writeBigUInt64BE(BigInt(number), 0);
    const cipher = createCipheriv('aes-128-ctr', this.#key, start);
    for (let left = sizeBytes; left > 0; left -= PIECE_BYTES) {
      yield cipher.update(left >= PIECE_BYTES ? ZEROS : ZEROS.subarray(0, left));
    }
  }

  /** Where an open file first differs from an upload's bytes, or undefined when it holds just them. */
  async firstDifference(fd: number, number: number, sizeBytes: number): Promise<number | undefined> {
    const buffer = Buffer.allocUnsafe(PIECE_BYTES);
    let offset = 0;
    for (const piece of this.pieces(number, sizeBytes)) {
      const bytes = await readFully(fd, buffer.subarray(0, piece.length), offset);
      if (bytes < piece.length || !buffer.subarray(0, bytes).equals(piece)) {
        return offset + differenceWithin(buffer.subarray(0, bytes), piece);
      }
      offset += bytes;
    }
    return (await readFully(fd, buffer.subarray(0, 1), offset)) === 0 ? undefined : offset;
  }
}

async function readFully(fd: number, buffer: Buffer, offset: number): Promise<number> {
  let filled = 0;
  while (filled < buffer.length) {
    const bytes = await new Promise<number>((resolve, reject) => {
      read(fd, buffer, filled, buffer.length - filled, offset + filled, (error, count) =>
        error === null ? resolve(count) : reject(error),
      );
    });
    if (bytes === 0) break;
    filled += bytes;
  }
  return filled;
}

function differenceWithin(actual: Buffer, expected: Buffer): number {
  let at = 0;
  while (at < actual.length && actual[at] === expected[at]) at += 1;
  return at;
}
