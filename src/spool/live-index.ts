/**
 * The unfinished jobs, in memory: for each lane their sequences in order of acceptance, 8 bytes a job, so that a million
 * of them cost little and a job's place in the queue is a binary search. The journal's `live` table is the truth;
 * this is rebuilt from it at start-up.
 */
import { OrderedNumbers } from '../base/ordered-numbers.ts';

export class LiveIndex {
  readonly #lanes = new Map<string, OrderedNumbers>();
  #size = 0;
  /** Unfinished jobs whose last attempt failed; they are tried again later. */
  readonly deferred = new OrderedNumbers();

  get size(): number {
    return this.#size;
  }

  lanes(): IterableIterator<string> {
    return this.#lanes.keys();
  }

  /** The lane's sequences; undefined when it has none. */
  lane(lane: string): OrderedNumbers | undefined {
    return this.#lanes.get(lane);
  }

  add(lane: string, sequence: number): void {
    let sequences = this.#lanes.get(lane);
    if (sequences === undefined) {
      sequences = new OrderedNumbers();
      this.#lanes.set(lane, sequences);
    }
    if (sequences.add(sequence)) this.#size += 1;
  }

  delete(lane: string, sequence: number): void {
    const sequences = this.#lanes.get(lane);
    if (sequences?.delete(sequence) !== true) return;
    this.#size -= 1;
    this.deferred.delete(sequence);
    if (sequences.size === 0) this.#lanes.delete(lane);
  }

  /** Unfinished jobs of the lane accepted before; null when the job is not unfinished. */
  ahead(lane: string, sequence: number): number | null {
    const sequences = this.#lanes.get(lane);
    if (sequences === undefined) return null;
    const rank = sequences.rank(sequence);
    return sequences.at(rank) === sequence ? rank : null;
  }
}
