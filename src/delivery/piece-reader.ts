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

  /** The next piece; an empty one at the end of the payload. To be asked again once it is there. */
  next(): Promise<Piece> {
    this.#read();
    const next = this.#ready.shift() ?? Promise.resolve({ data: Buffer.alloc(0), release: () => {} });
    this.#read();
    return next;
  }

  /** Releases what was read ahead. */
  close(): void {
    this.#ended = true;
    for (const piece of this.#ready.splice(0)) {
      piece.then(
        ({ release }) => release(),
        () => {},
      );
    }
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
