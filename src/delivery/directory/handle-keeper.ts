/**
 * The file handles of one delivery. Promises that each is closed: when it is let go, or at the latest by `end`, also
 * those whose opening was still under way then because the file system hung.
 */
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';

export class HandleKeeper {
  readonly #handles = new Set<FileHandle>();
  #ended = false;

  async open(path: string | Buffer, flags: number, mode?: number): Promise<FileHandle> {
    const handle = await open(path, flags, mode);
    if (this.#ended) {
      await handle.close();
      throw new Error('The delivery has ended');
    }
    this.#handles.add(handle);
    return handle;
  }

  /** Closes a handle, and tells the errors that only closing shows (a full disk, on some network file systems). */
  async close(handle: FileHandle): Promise<void> {
    if (this.#handles.delete(handle)) await handle.close();
  }

  /** Closes all that is still open. Waits for nothing: an operation that hangs holds its handle until it returns. */
  end(): void {
    this.#ended = true;
    for (const handle of this.#handles) handle.close().catch(() => {});
    this.#handles.clear();
  }
}
