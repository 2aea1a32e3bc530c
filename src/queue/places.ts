/**
 * The places of `concurrency`: fastq runs a unit of work in each. A place is held while its unit gets on; an instance
 * that stands still keeps the places of its own lane, but none that others could use.
 */
import fastq, { type queueAsPromised } from 'fastq';
import type { Lane } from './lane.ts';
import { untilDoneOrStalled } from './until-stalled.ts';

export type Unit = {
  readonly lane: Lane;
  /** Must not reject. */
  readonly work: () => Promise<unknown>;
  /** A number that changes as long as the work gets on. */
  readonly progress: () => number;
};

/** A unit without progress for that long gives its place to others. */
const STALL_MS = 2000;

export class Places {
  readonly #concurrency: number;
  readonly #onDone: (lane: Lane) => void;
  readonly #fastq: queueAsPromised<Unit>;

  /** `onDone` is told the lane of a unit that has ended. */
  constructor(concurrency: number, onDone: (lane: Lane) => void) {
    this.#concurrency = concurrency;
    this.#onDone = onDone;
    this.#fastq = fastq.promise((unit: Unit) => this.#run(unit), concurrency);
  }

  /** Whether a unit given now would run at once. */
  get isFree(): boolean {
    return this.#fastq.running() < this.#concurrency;
  }

  give(unit: Unit): void {
    unit.lane.running += 1;
    // A rejected push is what `abort` at the end of the run gives; the worker itself never throws.
    this.#fastq.push(unit).catch(() => undefined);
  }

  /** Nothing more starts until `resume`. */
  pause(): void {
    this.#fastq.pause();
  }

  resume(): void {
    this.#fastq.resume();
  }

  /** Drops what has not started. */
  abort(): void {
    this.#fastq.abort();
  }

  #run({ lane, work, progress }: Unit): Promise<void> {
    const done = work().then(() => {
      lane.running -= 1;
      this.#onDone(lane);
    });
    return untilDoneOrStalled(done, progress, STALL_MS);
  }
}
