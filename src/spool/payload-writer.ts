/**
 * One payload file while it is received. What has come is gathered and written with at most one write under way while
 * more gathers; no promise is made per chunk. Large files are written past the page cache (O_DIRECT), which costs a
 * fraction of the processor's time and leaves the memory to others; where the file system refuses that, and for the
 * last bytes of a file, through it. Written bytes are pushed to the disk early (a background fdatasync every few MiB), so that the last
 * fdatasync, for which the sender waits, is short. After a crash the file is there without a job, and start-up removes it.
 */
import { unlink } from 'node:fs';
import { createDeferredPromise } from '../base/deferred-promise.ts';
import { DIRECT_LEAST_BYTES } from '../base/direct-io.ts';
import { trace } from '../base/trace.ts';
import { diskError, isDiskFull } from './disk-space.ts';
import { type Batch, type LentBytes, PayloadBlocks } from './payload-blocks.ts';
import { PayloadChunks } from './payload-chunks.ts';
import { PayloadFile } from './payload-file.ts';

const EARLY_SYNC_BYTES = 8 << 20;
/** Past the page cache there is little left to sync: the end of the file, and what the disk itself holds back. */
const EARLY_DIRECT_SYNC_BYTES = 32 << 20;
/** How often one write is tried on a full disk where room is said to have been made. */
const FULL_TRIES = 3;

type Writing = {
  readonly path: string;
  readonly expectedBytes: number;
  readonly makeRoom: () => Promise<boolean>;
};

export class PayloadWriter {
  readonly path: string;
  readonly expectedBytes: number;
  readonly #file: PayloadFile;
  readonly #gathered: PayloadBlocks | PayloadChunks;
  #writing = false;
  #writtenBytes = 0;
  #syncedBytes = 0;
  #syncing = false;
  #failure: Error | undefined;
  #closed = false;
  #onDrain: (() => void) | undefined;
  #idle: (() => void)[] = [];
  #growth = new Set<() => void>();
  #finishing = false;
  #ended = false;
  #fullTries = 0;
  #aborting: Promise<void> | undefined;
  readonly #makeRoom: () => Promise<boolean>;

  private constructor(
    { path, expectedBytes, makeRoom }: Writing,
    file: PayloadFile,
    gathered: PayloadBlocks | PayloadChunks,
  ) {
    this.path = path;
    this.expectedBytes = expectedBytes;
    this.#makeRoom = makeRoom;
    this.#file = file;
    this.#gathered = gathered;
  }

  /**
   * `makeRoom` is asked on a full disk and resolves to whether the write is worth another try. `expectedBytes` is what
   * the sender says; more or less may come.
   */
  static async open(
    path: string,
    makeRoom = () => Promise.resolve(false),
    expectedBytes = 0,
  ): Promise<PayloadWriter> {
    const blocks = expectedBytes < DIRECT_LEAST_BYTES ? undefined : PayloadBlocks.reserve();
    try {
      const file = await PayloadFile.create(path, blocks !== undefined);
      return new PayloadWriter({ path, expectedBytes, makeRoom }, file, blocks ?? new PayloadChunks());
    } catch (error) {
      blocks?.drop();
      throw error;
    }
  }

  /** Bytes that are in the file already. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Bytes that `lend` or `read` can give. */
  get readableBytes(): number {
    const inMemory = this.#gathered instanceof PayloadBlocks ? this.#gathered.readyBytes : 0;
    return Math.max(inMemory, this.#writtenBytes);
  }

  /** What ended the writing, for example `disk_low`. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /**
   * Takes a chunk, which must not be changed afterwards. Returns whether more is welcome now; when not, `onDrain` is
   * called once it is. After a failure chunks are dropped and `finish` rejects.
   */
  write(chunk: Buffer, onDrain: () => void): boolean {
    if (this.#failure !== undefined || this.#closed) return true;
    const { readableBytes } = this;
    this.#gathered.put(chunk);
    this.#flush();
    // Whole blocks can be read before they are written.
    if (this.readableBytes > readableBytes) this.#wakeReaders();
    if (!this.#gathered.isFull) return true;
    this.#onDrain = onDrain;
    return false;
  }

  /** Writes what is left and resolves to the size in bytes once every byte is on stable storage. */
  async finish(): Promise<number> {
    this.#finishing = true;
    this.#flush();
    await this.#untilIdle();
    if (this.#failure !== undefined) throw this.#failure;
    trace('payload-written', this.path);
    if (this.#syncedBytes !== this.#writtenBytes || this.#writtenBytes === 0) {
      this.#sync();
      await this.#untilIdle();
      if (this.#failure !== undefined) throw this.#failure;
    }
    this.#ended = true;
    this.#wakeReaders();
    trace('payload-synced', this.path);
    return this.#writtenBytes;
  }

  /** Gives the file up: closes and removes it. Safe at any time, also twice. */
  abort(): Promise<void> {
    this.#aborting ??= this.#abort();
    return this.#aborting;
  }

  async #abort(): Promise<void> {
    this.#failure ??= new Error('The upload was given up');
    this.#wakeReaders();
    await this.#untilIdle();
    if (this.#closed) return;
    await this.close();
    await new Promise<void>((resolve) => unlink(this.path, () => resolve()));
  }

  /** Closes the file and keeps it. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#untilIdle();
    this.#gathered.drop();
    await this.#file.close();
  }

  /**
   * Resolves once bytes after `offset` are written (true) or the end is reached there (false); rejects when the
   * upload was given up, or when nothing was written for `stallMs`.
   */
  async untilMoreThan(offset: number, stallMs: number): Promise<boolean> {
    while (this.readableBytes <= offset) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended) return false;
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => {
          this.#growth.delete(wake);
          reject(new Error('The upload stalls'));
        }, stallMs);
        const wake = (): void => {
          clearTimeout(timer);
          resolve();
        };
        this.#growth.add(wake);
      });
    }
    return true;
  }

  /** Bytes from `offset` on that are still in memory; undefined when they have to be read. */
  lend(offset: number): LentBytes | undefined {
    if (!(this.#gathered instanceof PayloadBlocks) || this.#closed) return undefined;
    this.#gathered.keepForReader();
    return this.#gathered.lend(offset);
  }

  /** Fills `buffer` from `offset` on, with what the file has; resolves to the bytes read. */
  read(buffer: Buffer, offset: number): Promise<number> {
    // Only what a finished write has put there: the file's end may be in the middle of one.
    const bytes = Math.min(buffer.length, this.#writtenBytes - offset);
    return this.#file.read(buffer.subarray(0, bytes), offset);
  }

  #wakeReaders(): void {
    const waiting = this.#growth;
    this.#growth = new Set();
    for (const wake of waiting) wake();
  }

  #untilIdle(): Promise<void> {
    if (!this.#writing && !this.#syncing) return Promise.resolve();
    const idle = createDeferredPromise<void>();
    this.#idle.push(() => idle.resolve());
    return idle.promise;
  }

  #settle(): void {
    if (this.#writing || this.#syncing) return;
    const waiting = this.#idle;
    this.#idle = [];
    for (const resolve of waiting) resolve();
  }

  #flush(): void {
    if (this.#writing || this.#failure !== undefined) return;
    const batch = this.#gathered.batch(this.#finishing);
    if (batch === undefined) return;
    this.#writing = true;
    this.#write(batch);
  }

  #write(batch: Batch): void {
    const { buffers, bytes, direct } = batch;
    this.#file.write(batch, this.#writtenBytes, (error, written) => {
      if (error === null && written < bytes) {
        // A short write is what a nearly full disk answers before ENOSPC; the rest is asked for again.
        this.#count(written);
        this.#write({ buffers: dropBytes(buffers, written), bytes: bytes - written, direct });
      } else if (error !== null && isDiskFull(error) && this.#fullTries < FULL_TRIES) {
        this.#fullTries += 1;
        const again = (made: boolean): void => {
          if (made && this.#failure === undefined) this.#write(batch);
          else this.#wrote(error, 0);
        };
        this.#makeRoom().then(again, () => again(false));
      } else this.#wrote(error, written);
    });
  }

  #count(written: number): void {
    this.#writtenBytes += written;
    this.#gathered.wrote(written);
  }

  #wrote(error: Error | null, written: number): void {
    this.#writing = false;
    if (error === null) {
      this.#count(written);
      this.#fullTries = 0;
    } else this.#failure ??= diskError(error);
    this.#wakeReaders();
    if (this.#failure === undefined) {
      this.#flush();
      this.#syncEarly();
    }
    const onDrain = this.#onDrain;
    if (onDrain !== undefined && (!this.#gathered.isFull || this.#failure !== undefined)) {
      this.#onDrain = undefined;
      onDrain();
    }
    this.#settle();
  }

  #syncEarly(): void {
    const bytes = this.#gathered instanceof PayloadBlocks ? EARLY_DIRECT_SYNC_BYTES : EARLY_SYNC_BYTES;
    if (!this.#syncing && this.#writtenBytes - this.#syncedBytes >= bytes) this.#sync();
  }

  #sync(): void {
    const upTo = this.#writtenBytes;
    this.#syncing = true;
    this.#file.sync((error) => {
      this.#syncing = false;
      // A failed sync is never asked again: the kernel reports a lost page once and forgets it (fsync(2), EIO).
      if (error === null) this.#syncedBytes = upTo;
      else {
        this.#failure ??= diskError(error);
        this.#wakeReaders();
      }
      this.#settle();
    });
  }
}

function dropBytes(batch: readonly Buffer[], bytes: number): Buffer[] {
  const rest: Buffer[] = [];
  let skip = bytes;
  for (const chunk of batch) {
    if (skip >= chunk.length) skip -= chunk.length;
    else {
      rest.push(skip === 0 ? chunk : chunk.subarray(skip));
      skip = 0;
    }
  }
  return rest;
}
