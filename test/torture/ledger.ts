/**
 * The run's own record of one daemon: every upload with the answer it got, and what was seen under final names. It is
 * written from the outside alone, so it can accuse the daemon.
 */
import type { UploadPlan } from './upload-plan.ts';

/**
 * - `sending`: not answered yet
 * - `accepted`: answered 202
 * - `refused`: every try was answered, none with 202
 * - `cut`: a connection broke before the body was complete, so it cannot have been accepted
 * - `unknown`: a connection broke when the body was sent: accepted or not
 */
export type UploadState = 'sending' | 'accepted' | 'refused' | 'cut' | 'unknown';

export type Entry = {
  readonly plan: UploadPlan;
  state: UploadState;
  jobId: string | undefined;
  /** The last refusal. */
  code: string | undefined;
  startedAtMs: number;
  /** When a request to cancel its job was answered with 200. */
  cancelledAtMs: number | undefined;
  /** A request to cancel it was sent. */
  cancelAsked: boolean;
};

export type Sighting = { readonly number: number; readonly atMs: number };

export class Ledger {
  readonly #entries = new Map<number, Entry>();
  readonly #sightings = new Map<string, Sighting[]>();
  readonly #refusals = new Map<string, number>();
  /** The largest id of a 202 so far: whatever is sent from now on must get a larger one. */
  highestId = '';
  /** Files seen again after they had been seen, that is, delivered once more. */
  redeliveries = 0;
  replays = 0;

  begin(plan: UploadPlan): Entry {
    const entry: Entry = {
      plan,
      state: 'sending',
      jobId: undefined,
      code: undefined,
      startedAtMs: Date.now(),
      cancelledAtMs: undefined,
      cancelAsked: false,
    };
    this.#entries.set(plan.number, entry);
    return entry;
  }

  find(number: number): Entry | undefined {
    return this.#entries.get(number);
  }

  entries(): Entry[] {
    return [...this.#entries.values()];
  }

  count(state: UploadState): number {
    let count = 0;
    for (const entry of this.#entries.values()) if (entry.state === state) count += 1;
    return count;
  }

  refused(code: string): void {
    this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1);
  }

  refusals(): Record<string, number> {
    return Object.fromEntries([...this.#refusals].sort());
  }

  /** A file was seen whole under its final name on this machine. */
  saw(hostPath: string, number: number): void {
    const before = this.#sightings.get(hostPath);
    const sighting = { number, atMs: Date.now() };
    if (before === undefined) this.#sightings.set(hostPath, [sighting]);
    else if (before.at(-1)?.number === number) this.redeliveries += 1;
    else before.push(sighting);
  }

  sightings(): ReadonlyMap<string, readonly Sighting[]> {
    return this.#sightings;
  }
}
