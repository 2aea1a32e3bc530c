/**
 * The staging directories of one unpacking: one in the destination, and one in each directory that turned out to be a file
 * system of its own, since a rename cannot lead there from another. Each is announced before it is made.
 */
import { DeliveryError, transient } from './failure.ts';
import type { TreeDelivery } from './target.ts';
import type { Staging, TreeWriter } from './tree-writer.ts';

type Ask = <T>(work: () => Promise<T>) => Promise<T>;

export class StagingDirectories {
  readonly #writer: TreeWriter;
  readonly #delivery: TreeDelivery;
  /** By the directory of the tree that they are in. */
  readonly #opened = new Map<string, Promise<Staging>>();
  /** Those that may have to be removed. */
  readonly #made: Staging[] = [];

  readonly #ask: Ask;

  /** `ask` asks the other side for something, unless the attempt has ended. */
  constructor(writer: TreeWriter, delivery: TreeDelivery, ask: Ask) {
    this.#ask = ask;
    this.#writer = writer;
    this.#delivery = delivery;
  }

  /** How many may be there. */
  get left(): number {
    return this.#made.length;
  }

  /** The one for files of a directory: that of the nearest directory above which has one. */
  nearest(directory: string): Promise<Staging> {
    if (this.#opened.size > 1) {
      for (let name = directory; name !== ''; name = parentOf(name)) {
        const found = this.#opened.get(name);
        if (found !== undefined) return found;
      }
    }
    return this.openIn('');
  }

  /** That of the directory itself, made unless there is one. */
  openIn(directory: string): Promise<Staging> {
    let opening = this.#opened.get(directory);
    if (opening === undefined) {
      opening = this.#make(directory, this.#opened.size);
      // Each file that needs it sees the failure.
      opening.catch(() => undefined);
      this.#opened.set(directory, opening);
    }
    return opening;
  }

  /** Removes them one after the other, through `remove`, until all are gone or it rejects. */
  async removeAll(remove: (staging: Staging) => Promise<void>): Promise<void> {
    await Promise.allSettled(this.#opened.values());
    for (const staging of [...this.#made]) {
      await remove(staging);
      this.#made.shift();
    }
  }

  async #make(directory: string, number: number): Promise<Staging> {
    const { temporaryName, onTemporary } = this.#delivery;
    const name = number === 0 ? temporaryName : `${temporaryName}-${number}`;
    const staging = { directory, name };
    const inTree = directory === '' ? name : `${directory}/${name}`;
    const path = this.#writer.pathOf(inTree);
    try {
      await onTemporary(path);
    } catch (error) {
      throw new DeliveryError(transient('internal', 'job'), 'Cannot note the staging directory', error);
    }
    try {
      await this.#ask(() => {
        this.#made.push(staging);
        return this.#writer.makeStaging(staging);
      });
    } catch (error) {
      if (this.#writer.codeOf(error) !== 'EEXIST') throw this.#writer.explain(error, inTree);
      // The name is new to the world, so it is foreign; it stays, and the next attempt has another name.
      this.#made.splice(this.#made.indexOf(staging), 1);
      const verdict = transient('instance_unavailable', 'job');
      throw new DeliveryError(verdict, `There is a file ${path} already`, error);
    }
    return staging;
  }
}

/** The directory that a name of a tree is in. */
export function parentOf(name: string): string {
  return name.slice(0, Math.max(name.lastIndexOf('/'), 0));
}
