/** One payload file that is being written, open through the page cache and, if it is large, past it as well. */
import { close, constants, fdatasync, open, writev } from 'node:fs';
import { promisify } from 'node:util';
import { systemCode } from '../errors.ts';
import type { Batch } from './payload-blocks.ts';
import { readAt } from './read-at.ts';

const openFile = promisify(open);
const closeFile = promisify(close);

export class PayloadFile {
  readonly #fd: number;
  readonly #directFd: number | undefined;
  #isDirect: boolean;

  private constructor(fd: number, directFd: number | undefined) {
    this.#fd = fd;
    this.#directFd = directFd;
    this.#isDirect = directFd !== undefined;
  }

  /** Makes the file; `EEXIST` when there is one. */
  static async create(path: string, isDirect: boolean): Promise<PayloadFile> {
    const fd = await openFile(path, 'wx+', 0o600);
    if (!isDirect) return new PayloadFile(fd, undefined);
    // Not every file system has such a thing.
    const flags = constants.O_RDWR | constants.O_DIRECT;
    return new PayloadFile(fd, await openFile(path, flags).catch(() => undefined));
  }

  /** One write, which may be short, as fs.writev() does it. */
  write(
    { buffers, direct }: Batch,
    position: number,
    callback: (error: Error | null, written: number) => void,
  ): void {
    const directFd = direct && this.#isDirect ? this.#directFd : undefined;
    writev(directFd ?? this.#fd, buffers, position, (error, written) => {
      if (error === null || directFd === undefined || systemCode(error) !== 'EINVAL') {
        callback(error, written);
        return;
      }
      // The file system wants another alignment, or the rest of a short write has lost it.
      this.#isDirect = false;
      writev(this.#fd, buffers, position, callback);
    });
  }

  /** Fills `buffer` from `offset` on; resolves to the bytes read. */
  read(buffer: Buffer, offset: number): Promise<number> {
    const directFd = this.#isDirect ? this.#directFd : undefined;
    return readAt({ fd: this.#fd, directFd }, buffer, offset);
  }

  /** Puts what is written on stable storage, whichever way it was written. */
  sync(callback: (error: Error | null) => void): void {
    fdatasync(this.#fd, callback);
  }

  async close(): Promise<void> {
    const files = [this.#fd, ...(this.#directFd === undefined ? [] : [this.#directFd])];
    await Promise.all(files.map((fd) => closeFile(fd).catch(() => undefined)));
  }
}
