import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Decompress } from 'fzstd';

const OUTPUT_BYTES = 256 * 1024;
/** Four bytes of zstd can stand for 128 KiB, and what one push gives comes all at once. */
const ZSTD_INPUT_BYTES = 512;

/** Errors of the source pass unchanged; others mean that the data is damaged or cut off. */
export async function* gunzip(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const input = Readable.from(copies(pieces), { highWaterMark: 1 });
  const output = createGunzip({ chunkSize: OUTPUT_BYTES });
  input.on('error', (error) => output.destroy(error));
  input.pipe(output);
  try {
    for await (const piece of output) yield piece as Buffer;
  } finally {
    input.destroy();
  }
}

/** As {@link gunzip}. Checksums at the ends of frames are not compared. */
export async function* unzstd(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let output: Buffer[] = [];
  const decompressor = new Decompress((data) => {
    if (data.length > 0) output.push(Buffer.from(data.buffer, data.byteOffset, data.length));
  });
  const take = (): Buffer[] => {
    const taken = output;
    output = [];
    return taken;
  };
  for await (const piece of copies(pieces)) {
    for (let at = 0; at < piece.length; at += ZSTD_INPUT_BYTES) {
      decompressor.push(piece.subarray(at, at + ZSTD_INPUT_BYTES));
      if (output.length > 0) yield* take();
    }
  }
  decompressor.push(new Uint8Array(0), true);
  yield* take();
}

/** Both hold on to what they were given for longer than a piece is valid. */
async function* copies(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const piece of pieces) yield Buffer.from(piece);
}
