/**
 * Keeps room in the journal's file, on the disk already, ahead of what lmdb has used of it. lmdb 3.5 must never meet a
 * full disk itself: when a page cannot be written it puts the message into a buffer that is too short for it
 * (mdb_page_flush, `malloc(100)`), which ends the process some time later. A file that is longer than what is used
 * means nothing to lmdb; a crash leaves just that.
 */
import { spawn } from 'node:child_process';
import { open, stat, statfs } from 'node:fs/promises';
import { systemCode } from '../errors.ts';

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
      if (lengthBytes > 0) await allocate(this.#path, offsetBytes, lengthBytes);
      // With --posix fallocate says nothing of a full disk.
      if ((await stat(this.#path)).size < endBytes) throw new Error('No room');
      this.#sizeBytes = endBytes;
      this.#failedAtMs = Number.NEGATIVE_INFINITY;
    } catch {
      this.#failedAtMs = performance.now();
    }
  }
}

/** posix_fallocate(3) by util-linux, since Node has no call for it; where that is missing zeros do the same. */
async function allocate(path: string, offsetBytes: number, lengthBytes: number): Promise<void> {
  try {
    await fallocate(path, offsetBytes, lengthBytes);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    await writeZeros(path, offsetBytes, lengthBytes);
  }
}

function fallocate(path: string, offsetBytes: number, lengthBytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const range = ['--offset', String(offsetBytes), '--length', String(lengthBytes)];
    const child = spawn('fallocate', ['--posix', ...range, path], { stdio: 'ignore' });
    child.once('error', reject);
    child.once('exit', (status) =>
      status === 0 ? resolve() : reject(new Error(`fallocate ended with status ${status}`)),
    );
  });
}

async function writeZeros(path: string, offsetBytes: number, lengthBytes: number): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    const zeros = Buffer.alloc(Math.min(MIB, lengthBytes));
    for (let done = 0; done < lengthBytes; ) {
      const { bytesWritten } = await handle.write(
        zeros,
        0,
        Math.min(zeros.length, lengthBytes - done),
        offsetBytes + done,
      );
      done += bytesWritten;
    }
    await handle.datasync();
  } finally {
    await handle.close();
  }
}
