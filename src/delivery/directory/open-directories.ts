/**
 * The directories of a tree that are open just now, by their names in it. Keeps some open that nobody uses, since the
 * next file mostly goes into the same one; never many more.
 */
import type { FileHandle } from 'node:fs/promises';
import type { HandleKeeper } from './handle-keeper.ts';

const MAX_OPEN = 128;

type Entry = { readonly handle: Promise<FileHandle>; users: number };

export class OpenDirectories {
  readonly #open: (name: string) => Promise<FileHandle>;
  readonly #keeper: HandleKeeper;
  /** The one used last comes last. */
  readonly #entries = new Map<string, Entry>();

  constructor(keeper: HandleKeeper, open: (name: string) => Promise<FileHandle>) {
    this.#keeper = keeper;
    this.#open = open;
  }

  /** The handle is `act`'s until what it returned settles. */
  async use<T>(name: string, act: (handle: FileHandle) => Promise<T>): Promise<T> {
    const entry = this.#entries.get(name) ?? { handle: this.#open(name), users: 0 };
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    entry.users += 1;
    try {
      return await act(await entry.handle);
    } catch (error) {
      await entry.handle.catch(() => this.#forget(name, entry));
      throw error;
    } finally {
      entry.users -= 1;
      if (this.#entries.size > MAX_OPEN) this.#closeUnused();
    }
  }

  #closeUnused(): void {
    for (const [name, entry] of this.#entries) {
      if (this.#entries.size <= MAX_OPEN) return;
      if (entry.users > 0) continue;
      this.#entries.delete(name);
      entry.handle.then(
        (handle) => this.#keeper.close(handle).catch(() => undefined),
        () => undefined,
      );
    }
  }

  /** It could not be opened; it may be later. */
  #forget(name: string, entry: Entry): void {
    if (this.#entries.get(name) === entry) this.#entries.delete(name);
  }
}
