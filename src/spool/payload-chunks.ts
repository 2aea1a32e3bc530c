/** The chunks of a payload on their way to the disk through the page cache, gathered to about 1 MiB and never copied. */
import type { Batch } from './payload-blocks.ts';

const BATCH_BYTES = 1 << 20;
/** Linux takes at most 1024 buffers (UIO_MAXIOV) in one writev. */
const BATCH_CHUNKS = 1024;
/** What one file may have waiting behind the write under way, and all together; each may have a batch. */
const BUFFERED_LIMIT_BYTES = 2 << 20;
const BUFFERED_BY_ALL_BYTES = 64 << 20;

let openFiles = 0;

/** Bytes that may wait; on a disk slower than the senders all files have as many. */
function bufferedLimitBytes(): number {
  return Math.max(BATCH_BYTES, Math.min(BUFFERED_LIMIT_BYTES, BUFFERED_BY_ALL_BYTES / openFiles));
}

export class PayloadChunks {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #dropped = false;

  constructor() {
    openFiles += 1;
  }

  /** Whether as much waits as may. */
  get isFull(): boolean {
    return this.#bytes >= bufferedLimitBytes();
  }

  /** Takes a chunk, which must not be changed afterwards. */
  put(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** What can be written now: all there is, once it is worth a write or `toTheEnd`. */
  batch(toTheEnd: boolean): Batch | undefined {
    const isDue = toTheEnd || this.#bytes >= BATCH_BYTES || this.#chunks.length >= BATCH_CHUNKS;
    if (!isDue || this.#bytes === 0) return undefined;
    const batch = { buffers: this.#chunks, bytes: this.#bytes, direct: false };
    this.#chunks = [];
    this.#bytes = 0;
    return batch;
  }

  wrote(): void {
    // A batch is forgotten when it is handed out.
  }

  /** Gives all up. */
  drop(): void {
    if (this.#dropped) return;
    this.#dropped = true;
    openFiles -= 1;
    this.#chunks = [];
    this.#bytes = 0;
  }
}
