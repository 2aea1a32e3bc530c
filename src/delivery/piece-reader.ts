import { giveBlock, takeBlock } from '../base/aligned-blocks.ts';
import { payloadError } from './failure.ts';
import type { PayloadSource, Piece } from './payload-source.ts';

/** Pieces that are read before they are asked for, so that the disk and the instance work at the same time. */
const AHEAD = 3;

/** Gives the pieces of a payload in their order, out of memory where they still are there. */
export class PieceReader {
  readonly #payload: PayloadSource;
  readonly #ready: Promise<Piece>[] = [];
  #offset = 0;
  #reading = false;
  #ended = false;

  constructor(payload: PayloadSource) {
    this.#payload = payload;
  }

  /**
   * The next piece, as `wait` waits for it; an empty one at the end of the payload. Whoever gets it releases it; one that
   * `wait` did not wait for to the end is released here. To be asked again once it is there.
   */
  async next(wait: (piece: Promise<Piece>) => Promise<Piece> = (piece) => piece): Promise<Piece> {
    this.#read();
    const next = this.#ready.shift() ?? Promise.resolve({ data: Buffer.alloc(0), release: () => {} });
    this.#read();
    try {
      return await wait(next);
    } catch (error) {
      releaseLater(next);
      throw error;
    }
  }

  /** Releases what was read ahead. */
  close(): void {
    this.#ended = true;
    for (const piece of this.#ready.splice(0)) releaseLater(piece);
  }

  #read(): void {
    if (this.#reading || this.#ended || this.#ready.length >= AHEAD) return;
    this.#reading = true;
    const piece = readPiece(this.#payload, this.#offset);
    this.#ready.push(piece);
    piece.then(
      ({ data }) => {
        this.#reading = false;
        this.#offset += data.length;
        if (data.length === 0) this.#ended = true;
        this.#read();
      },
      () => {
        this.#ended = true;
      },
    );
  }
}

function releaseLater(piece: Promise<Piece>): void {
  piece.then(
    ({ release }) => release(),
    () => {},
  );
}

async function readPiece(payload: PayloadSource, offset: number): Promise<Piece> {
  try {
    return (await payload.lend?.(offset)) ?? (await readBlock(payload, offset));
  } catch (error) {
    throw payloadError(error);
  }
}

async function readBlock(payload: PayloadSource, offset: number): Promise<Piece> {
  const block = takeBlock();
  try {
    const bytes = await payload.read(block, offset);
    return { data: block.subarray(0, bytes), release: () => giveBlock(block) };
  } catch (error) {
    giveBlock(block);
    throw error;
  }
}
