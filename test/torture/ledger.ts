/**
 * The run's own record of one daemon: every upload with the answer it got, and what was seen under final names. It is
 * written from the outside alone, so it can accuse the daemon.
 */
import type { Place } from './place.ts';
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

export type Sighting = {
  readonly number: number;
  readonly atMs: number;
  /** When it was put there: a busy machine may look late. */
  readonly sinceMs: number;
};

export class Ledger {
  readonly #entries = new Map<number, Entry>();
  readonly #sightings = new Map<string, Sighting[]>();
  readonly #refusals = new Map<string, number>();
  /** The largest id of a 202 so far: whatever is sent from now on must get a larger one. */
  highestId = '';
  /** Files seen again after they had been seen, that is, delivered once more. */
  redeliveries = 0;
  replays = 0;

  /** Also begins the entries of its other destinations, and of the files of an archive. */
  begin(plan: UploadPlan): Entry {
    for (const other of partsOf(plan)) this.begin(other);
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

  /** The upload has its answer, which is that of its other destinations and files too. */
  settle({ plan, state, code }: Entry): void {
    for (const { number } of partsOf(plan)) Object.assign(this.#entries.get(number) ?? {}, { state, code });
  }

  /** The number of that destination of an upload which is a file. */
  numberAt(owner: number, place: Place, finalPath: string): number {
    const isIt = (plan: UploadPlan): boolean => plan.place === place && plan.finalPath === finalPath;
    return this.#destination(owner, isIt);
  }

  /** The entry of that destination of an upload which became a job. */
  findJob(job: { gid: number; project: string; instance: string; path: string }): Entry | undefined {
    const wanted = `${job.project}/${job.instance}:${job.path}`;
    const isIt = (plan: UploadPlan): boolean =>
      `${plan.place.project}/${plan.instance}:${plan.path}` === wanted;
    return this.find(this.#destination(job.gid, isIt));
  }

  #destination(owner: number, isIt: (plan: UploadPlan) => boolean): number {
    const plan = this.#entries.get(owner)?.plan;
    if (plan === undefined || isIt(plan)) return owner;
    return partsOf(plan).find(isIt)?.number ?? owner;
  }

  find(number: number): Entry | undefined {
    return this.#entries.get(number);
  }

  entries(): Entry[] {
    return [...this.#entries.values()];
  }

  /** Archives that were accepted. */
  get archives(): number {
    return this.entries().filter(
      ({ state, plan }) => state === 'accepted' && plan.files !== undefined && !plan.inArchive,
    ).length;
  }

  /** Uploads of several destinations that were accepted. */
  get batches(): number {
    return this.entries().filter(({ state, plan }) => state === 'accepted' && plan.also.length > 0).length;
  }

  /** Uploads, however many destinations they have. */
  count(state: UploadState): number {
    let count = 0;
    for (const { state: own, plan } of this.#entries.values())
      if (own === state && plan.owner === plan.number) count += 1;
    return count;
  }

  refused(code: string): void {
    this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1);
  }

  refusals(): Record<string, number> {
    return Object.fromEntries([...this.#refusals].sort());
  }

  /** A file was seen whole under its final name on this machine. */
  saw(hostPath: string, number: number, sinceMs: number): void {
    const before = this.#sightings.get(hostPath);
    const sighting = { number, atMs: Date.now(), sinceMs };
    if (before === undefined) this.#sightings.set(hostPath, [sighting]);
    else if (before.at(-1)?.number === number) this.redeliveries += 1;
    else before.push(sighting);
  }

  sightings(): ReadonlyMap<string, readonly Sighting[]> {
    return this.#sightings;
  }
}

function partsOf({ also, files }: UploadPlan): readonly UploadPlan[] {
  return files ?? also;
}
