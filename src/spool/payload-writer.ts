/**
 * One payload file while it is received. Chunks are gathered to about 1 MiB and written by `writev` with at most one
 * write under way while the next batch fills; no promise is made per chunk. Written bytes are pushed to the disk early
 * (a background fdatasync every few MiB), so that the last fdatasync, for which the sender waits, is short.
 * After a crash the file is there without a job, and start-up removes it.
 */
import { close, fdatasync, open, unlink, writev } from 'node:fs';
import { promisify } from 'node:util';
import { createDeferredPromise } from '../base/deferred-promise.ts';
import { trace } from '../base/trace.ts';
import { diskError, isDiskFull } from './disk-space.ts';

const BATCH_BYTES = 1 << 20;
/** What one file may have waiting behind the write under way, and all together; each may have a batch. */
const BUFFERED_LIMIT_BYTES = 2 << 20;
const BUFFERED_BY_ALL_BYTES = 64 << 20;
const EARLY_SYNC_BYTES = 8 << 20;
/** Linux takes at most 1024 buffers (UIO_MAXIOV) in one writev. */
const BATCH_CHUNKS = 1024;
/** How often one write is tried on a full disk where room is said to have been made. */
const FULL_TRIES = 3;

const openFile = promisify(open);

let openWriters = 0;

/** Bytes that may wait; on a disk slower than the senders all files have as many. */
function bufferedLimitBytes(): number {
  return Math.max(BATCH_BYTES, Math.min(BUFFERED_LIMIT_BYTES, BUFFERED_BY_ALL_BYTES / openWriters));
}

export class PayloadWriter {
  readonly path: string;
  readonly fd: number;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #writing = false;
  #writtenBytes = 0;
  #syncedBytes = 0;
  #syncing = false;
  #failure: Error | undefined;
  #closed = false;
  #onDrain: (() => void) | undefined;
  #idle: (() => void)[] = [];
  #growth = new Set<() => void>();
  #ended = false;
  #fullTries = 0;
  #aborting: Promise<void> | undefined;
  readonly #makeRoom: () => Promise<boolean>;

  private constructor(path: string, fd: number, makeRoom: () => Promise<boolean>) {
    this.path = path;
    this.fd = fd;
    this.#makeRoom = makeRoom;
    openWriters += 1;
  }

  /** `makeRoom` is asked on a full disk and resolves to whether the write is worth another try. */
  static async open(path: string, makeRoom = () => Promise.resolve(false)): Promise<PayloadWriter> {
    return new PayloadWriter(path, await openFile(path, 'wx+', 0o600), makeRoom);
  }

  /** Bytes that are in the file already. */
  get writtenBytes(): number {
    return this.#writtenBytes;
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
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    if (this.#pendingBytes >= BATCH_BYTES || this.#pending.length >= BATCH_CHUNKS) this.#flush();
    if (this.#pendingBytes < bufferedLimitBytes()) return true;
    this.#onDrain = onDrain;
    return false;
  }

  /** Writes what is left and resolves to the size in bytes once every byte is on stable storage. */
  async finish(): Promise<number> {
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
    this.#pending = [];
    this.#pendingBytes = 0;
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
    openWriters -= 1;
    await new Promise<void>((resolve) => close(this.fd, () => resolve()));
  }

  /**
   * Resolves once bytes after `offset` are written (true) or the end is reached there (false); rejects when the
   * upload was given up, or when nothing was written for `stallMs`.
   */
  async untilMoreThan(offset: number, stallMs: number): Promise<boolean> {
    while (this.#writtenBytes <= offset) {
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
    if (this.#writing || this.#pending.length === 0 || this.#failure !== undefined) return;
    const batch = this.#pending;
    const bytes = this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#writing = true;
    this.#writeAll(batch, bytes);
  }

  #writeAll(batch: Buffer[], bytes: number): void {
    writev(this.fd, batch, this.#writtenBytes, (error, written) => {
      if (error === null && written < bytes) {
        // A short write is what a nearly full disk answers before ENOSPC; the rest is asked for again.
        this.#writtenBytes += written;
        this.#writeAll(dropBytes(batch, written), bytes - written);
      } else if (error !== null && isDiskFull(error) && this.#fullTries < FULL_TRIES) {
        this.#fullTries += 1;
        this.#makeRoom().then(
          (made) =>
            made && this.#failure === undefined ? this.#writeAll(batch, bytes) : this.#wrote(error, 0),
          () => this.#wrote(error, 0),
        );
      } else this.#wrote(error, written);
    });
  }

  #wrote(error: Error | null, written: number): void {
    this.#writing = false;
    if (error === null) {
      this.#writtenBytes += written;
      this.#fullTries = 0;
    } else this.#failure ??= diskError(error);
    this.#wakeReaders();
    if (this.#failure === undefined) {
      if (this.#pendingBytes >= BATCH_BYTES || this.#idle.length > 0) this.#flush();
      this.#syncEarly();
    }
    const onDrain = this.#onDrain;
    if (onDrain !== undefined && (this.#pendingBytes < bufferedLimitBytes() || this.#failure !== undefined)) {
      this.#onDrain = undefined;
      onDrain();
    }
    this.#settle();
  }

  #syncEarly(): void {
    if (!this.#syncing && this.#writtenBytes - this.#syncedBytes >= EARLY_SYNC_BYTES) this.#sync();
  }

  #sync(): void {
    const upTo = this.#writtenBytes;
    this.#syncing = true;
    fdatasync(this.fd, (error) => {
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
