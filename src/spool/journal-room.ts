/**
 * Keeps room in the journal's file, on the disk already, ahead of what lmdb has used of it. lmdb 3.5 must never meet a
 * full disk itself: when a page cannot be written it puts the message into a buffer that is too short for it
 * (mdb_page_flush, `malloc(100)`), which ends the process some time later. A file that is longer than what is used
 * means nothing to lmdb; a crash leaves just that.
 */
import { stat, statfs } from 'node:fs/promises';
import { writeZeros } from './write-zeros.ts';

const MIB = 1 << 20;
const LEAST_STEP_BYTES = 8 * MIB;
const MOST_STEP_BYTES = 64 * MIB;
/** With less room than this more is asked for while work goes on. */
const LOW_BYTES = 4 * MIB;
/** A full disk is not asked again before. */
const ASK_AGAIN_MS = 200;

export class JournalRoom {
  readonly #path: string;
  #sizeBytes: number;
  #extending: Promise<void> | undefined;
  #failedAtMs = Number.NEGATIVE_INFINITY;

  private constructor(path: string, sizeBytes: number) {
    this.#path = path;
    this.#sizeBytes = sizeBytes;
  }

  static async open(path: string): Promise<JournalRoom> {
    return new JournalRoom(path, (await stat(path)).size);
  }

  /** Resolves to the bytes that can be used after `usedBytes`: `wantedBytes` or more, less only on a full disk. */
  async provide(usedBytes: number, wantedBytes: number): Promise<number> {
    const stepBytes = Math.min(Math.max(LEAST_STEP_BYTES, usedBytes / 8), MOST_STEP_BYTES);
    const aheadBytes = (): number => this.#sizeBytes - usedBytes;
    if (aheadBytes() < wantedBytes) {
      await this.#extendTo(usedBytes + wantedBytes + stepBytes);
      if (aheadBytes() < wantedBytes) await this.#extendTo(usedBytes + wantedBytes);
    } else if (aheadBytes() < wantedBytes + LOW_BYTES && this.#extending === undefined) {
      if (performance.now() - this.#failedAtMs > ASK_AGAIN_MS) void this.#extendTo(usedBytes + stepBytes);
    }
    return aheadBytes();
  }

  /** Resolves when nothing is being extended any more. */
  async settled(): Promise<void> {
    await this.#extending;
  }

  async #extendTo(endBytes: number): Promise<void> {
    await this.#extending;
    if (endBytes <= this.#sizeBytes) return;
    this.#extending = this.#extend(Math.ceil(endBytes / 4096) * 4096);
    await this.#extending;
    this.#extending = undefined;
  }

  /** Never rejects: whoever asked looks at what there is. */
  async #extend(endBytes: number): Promise<void> {
    try {
      // Not from the length that is known: lmdb makes the file longer by itself while its tables are made, and zeros
      // must not be written over that.
      const { size: offsetBytes } = await stat(this.#path);
      const lengthBytes = Math.max(0, endBytes - offsetBytes);
      const { bavail, bsize } = await statfs(this.#path);
      if (bavail * bsize < lengthBytes) throw new Error('No room');
      await writeZeros(this.#path, offsetBytes, lengthBytes);
      this.#sizeBytes = endBytes;
      this.#failedAtMs = Number.NEGATIVE_INFINITY;
    } catch {
      this.#failedAtMs = performance.now();
    }
  }
}
