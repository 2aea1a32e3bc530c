/**
 * Which files each archive has put into its instance, as path keys in order, one value per job. Few jobs need to know:
 * those that are tried after an archive that was accepted later. Goes with the record of its job.
 */
import type { Journal } from './journal.ts';
import { decodeNumber, encodeNumberList } from './number-codec.ts';

export class TreeIndex {
  readonly #journal: Journal;
  /** What is being committed just now, which reads do not show yet. */
  readonly #settling = new Map<number, Buffer>();
  #last: number;

  constructor(journal: Journal) {
    this.#journal = journal;
    const [last] = journal.trees.getKeys({ reverse: true, limit: 1 });
    this.#last = last ?? 0;
  }

  /** The value that a commit has to put under the job's sequence: these files and those it had before. */
  prepare(sequence: number, keys: readonly number[]): Buffer {
    const known = this.#settling.get(sequence) ?? this.#journal.trees.get(sequence);
    const all = new Set(keys);
    if (known !== undefined) for (let i = 0; i < known.length / 8; i += 1) all.add(decodeNumber(known, i));
    const value = encodeNumberList(Float64Array.from(all).sort());
    this.#settling.set(sequence, value);
    this.#last = Math.max(this.#last, sequence);
    return value;
  }

  settled(sequence: number): void {
    this.#settling.delete(sequence);
  }

  /** Whether an archive accepted after `sequence` has put one of these files into place. */
  hasLater(keys: readonly number[], sequence: number): boolean {
    if (this.#last <= sequence || keys.length === 0) return false;
    const trees = this.#later(sequence);
    return keys.some((key) => trees.some((tree) => includes(tree, key)));
  }

  #later(sequence: number): Buffer[] {
    const trees = new Map<number, Buffer>();
    for (const { key, value } of this.#journal.trees.getRange({ start: sequence + 1 })) trees.set(key, value);
    for (const [key, value] of this.#settling) if (key > sequence) trees.set(key, value);
    return [...trees.values()];
  }
}

function includes(tree: Buffer, key: number): boolean {
  let low = 0;
  let high = tree.length / 8 - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const found = decodeNumber(tree, middle);
    if (found === key) return true;
    if (found < key) low = middle + 1;
    else high = middle - 1;
  }
  return false;
}
