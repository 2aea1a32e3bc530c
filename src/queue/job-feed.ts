/**
 * Changes of jobs, for whoever watches. Every change has a number that only grows; the last few thousand can be
 * read again by their number, which is how a watcher that lost its connection goes on. After a restart the numbers
 * start elsewhere, so that an old one is recognised as unknown.
 */
import type { JobState } from '../protocol/job.ts';

export type JobChange = { readonly number: number; readonly sequence: number; readonly state: JobState };

const KEPT = 8192;

export class JobFeed {
  readonly #ring: JobChange[] = [];
  #next = 0;
  #number: number;
  readonly #watchers = new Set<(change: JobChange) => void>();
  readonly #bySequence = new Map<number, Set<() => void>>();

  /** `nowMs` makes the numbers of this run differ from those of earlier ones. */
  constructor(nowMs: number) {
    this.#number = nowMs * 1000;
  }

  /** The number of the latest change. */
  get latest(): number {
    return this.#number;
  }

  publish(sequence: number, state: JobState): void {
    this.#number += 1;
    const change = { number: this.#number, sequence, state };
    this.#ring[this.#next] = change;
    this.#next = (this.#next + 1) % KEPT;
    for (const watcher of this.#watchers) watcher(change);
    const waiting = this.#bySequence.get(sequence);
    if (waiting !== undefined) for (const wake of [...waiting]) wake();
  }

  /** Changes after the one of that number, oldest first; undefined when they are not kept any more. */
  since(number: number): readonly JobChange[] | undefined {
    if (number === this.#number) return [];
    const kept = [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)];
    const first = kept[0];
    if (first === undefined || number > this.#number || number < first.number - 1) return undefined;
    return kept.filter((change) => change.number > number);
  }

  /** Every change from now on; returns how to stop. */
  watch(watcher: (change: JobChange) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Every change of one job; returns how to stop. */
  watchJob(sequence: number, wake: () => void): () => void {
    const waiting = this.#bySequence.get(sequence) ?? new Set();
    waiting.add(wake);
    this.#bySequence.set(sequence, waiting);
    return () => {
      waiting.delete(wake);
      if (waiting.size === 0 && this.#bySequence.get(sequence) === waiting) this.#bySequence.delete(sequence);
    };
  }
}
