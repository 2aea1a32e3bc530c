/** What must hold when the faults are over and no job is unfinished. */
import type { WireJob } from '../../src/protocol/job-wire.ts';
import type { Breaches } from './breaches.ts';
import type { FaultRecord } from './fault.ts';
import type { Entry, Ledger } from './ledger.ts';
import { hostPath } from './place.ts';
import type { Watcher } from './watcher.ts';

export type Account = {
  readonly delivered: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Uploads whose 202 never arrived, and which have a job. */
  readonly unanswered: number;
  readonly failures: Readonly<Record<string, number>>;
  readonly attempts: number;
};

type Known = { readonly entry: Entry; readonly job: WireJob };

/** An attempt that ended so may have put its file into place without saying so. */
const UNSURE = new Set(['connection_lost', 'timed_out', 'target_unreachable', 'cancelled']);

/** Between a rename and the commit that says so a daemon may die; that commit waits for room on a full disk. */
const COMMIT_MS = 8000;

/** After a cancel was answered, or a process has ended, files may be put into place that much later. */
const LOOK_SLACK_MS = 3000;

export class FinalChecks {
  readonly #ledger: Ledger;
  readonly #breaches: Breaches;
  readonly #faults: FaultRecord;
  readonly #endedAtMs: readonly number[];
  readonly #known = new Map<number, Known>();

  /** `endedAtMs`: when processes of the daemon ended. */
  constructor(ledger: Ledger, breaches: Breaches, faults: FaultRecord, endedAtMs: readonly number[]) {
    this.#ledger = ledger;
    this.#breaches = breaches;
    this.#faults = faults;
    this.#endedAtMs = endedAtMs;
  }

  /** Each upload against its job, and the other way round. */
  checkJobs(jobs: readonly WireJob[]): Account {
    for (const job of jobs) this.#matchEntry(job);
    for (const entry of this.#ledger.entries()) {
      if (entry.state === 'accepted' && !this.#known.has(entry.plan.number)) {
        this.#breaches.add(
          `job ${entry.jobId} of upload ${entry.plan.number} was accepted and is unknown now`,
        );
      }
    }
    const failures: Record<string, number> = {};
    const states: Record<string, number> = {};
    for (const known of this.#known.values()) {
      if (known.entry.plan.inArchive) continue;
      states[known.job.state] = (states[known.job.state] ?? 0) + 1;
      if (known.job.state === 'failed') {
        const code = known.job.error?.code ?? 'none';
        failures[code] = (failures[code] ?? 0) + 1;
      }
      this.#checkJob(known);
    }
    return {
      delivered: states.delivered ?? 0,
      failed: states.failed ?? 0,
      cancelled: states.cancelled ?? 0,
      unanswered: [...this.#known.values()].filter(
        ({ entry }) => entry.state === 'unknown' && !entry.plan.inArchive,
      ).length,
      failures,
      attempts: jobs.reduce((sum, { attempts }) => sum + attempts, 0),
    };
  }

  /** GET /v1/info against the list of jobs. */
  checkCounts(counts: Readonly<Record<string, number>>, jobs: readonly WireJob[]): void {
    for (const [state, count] of Object.entries(counts)) {
      const listed = jobs.filter((job) => job.state === state).length;
      if (listed !== count)
        this.#breaches.add(`/v1/info counts ${count} ${state} jobs, the list has ${listed}`);
    }
  }

  /** What stands under each final name, and in which order it was seen there. */
  async checkFiles(watcher: Watcher): Promise<void> {
    const byFile = new Map<string, Known[]>();
    for (const known of this.#known.values()) {
      const { place, finalPath, mustFailWith, files } = known.entry.plan;
      if (mustFailWith !== undefined || files !== undefined) continue;
      const file = hostPath(place, finalPath);
      const others = byFile.get(file);
      if (others === undefined) byFile.set(file, [known]);
      else others.push(known);
    }
    for (const knowns of byFile.values()) await this.#checkFile(watcher, knowns);
    for (const entry of this.#ledger.entries()) {
      const { place, finalPath, shared, number, mustFailWith } = entry.plan;
      if (shared || this.#known.has(number)) continue;
      if ((await watcher.look(place, finalPath)) === undefined || mustFailWith !== undefined) continue;
      this.#breaches.add(`upload ${number} (${entry.state} ${entry.code ?? ''}) stands at ${finalPath}`);
    }
    this.#checkSightings(watcher.cutsAtMs);
  }

  #matchEntry(job: WireJob): void {
    const entry = this.#ledger.findJob(job);
    if (entry === undefined) {
      this.#breaches.add(`job ${job.id} belongs to no upload`);
      return;
    }
    const { plan } = entry;
    const other = this.#known.get(plan.number);
    if (other !== undefined) {
      this.#breaches.add(`upload ${plan.number} has two jobs, ${other.job.id} and ${job.id}`);
      return;
    }
    this.#known.set(plan.number, { entry, job });
    for (const { number } of plan.files ?? []) {
      const file = this.#ledger.find(number);
      if (file !== undefined) this.#known.set(number, { entry: file, job });
    }
    if (entry.state === 'accepted' && plan.owner === plan.number && entry.jobId !== job.id) {
      this.#breaches.add(`upload ${plan.number} was answered ${entry.jobId} and is job ${job.id}`);
    }
    if (entry.state === 'refused' || entry.state === 'cut') {
      this.#breaches.add(
        `upload ${plan.number} is job ${job.id}, though it was ${entry.state} ${entry.code ?? ''}`,
      );
    } else if (plan.mustBeRefused) {
      this.#breaches.add(`upload ${plan.number} is job ${job.id}, though it must be refused`);
    }
    const wanted = [plan.instance, plan.place.project, plan.path, plan.sizeBytes, plan.uid];
    const got = [job.instance, job.project, job.path, job.size, job.uid];
    if (wanted.join() !== got.join()) {
      this.#breaches.add(`job ${job.id} is ${got.join()} where upload ${plan.number} was ${wanted.join()}`);
    }
  }

  #checkJob({ entry, job }: Known): void {
    const { plan } = entry;
    const what = `job ${job.id} of upload ${plan.number}`;
    if (job.state === 'delivered') {
      if (job.delivered_path !== plan.finalPath) {
        this.#breaches.add(`${what} was delivered to ${job.delivered_path}, not ${plan.finalPath}`);
      }
    } else if (job.state === 'failed') this.#checkReason(what, { entry, job });
    else if (job.state === 'cancelled') {
      if (!entry.cancelAsked) this.#breaches.add(`${what} is cancelled, and nobody asked for it`);
    } else this.#breaches.add(`${what} is still ${job.state}: ${job.error?.message ?? 'no error'}`);
    if (entry.cancelledAtMs !== undefined && job.state !== 'cancelled') {
      this.#breaches.add(`${what} is ${job.state}, and its cancel was answered 200`);
    }
  }

  #checkReason(what: string, { entry, job }: Known): void {
    const { plan } = entry;
    const code = job.error?.code ?? 'none';
    if (code === plan.mustFailWith) return;
    if (code === 'superseded') {
      if (this.#deliveredAfter(entry, job)) return;
      this.#breaches.add(`${what} says superseded, and no later file was delivered to ${plan.finalPath}`);
      return;
    }
    const toMs = Date.parse(job.finished_at ?? job.updated_at);
    if (this.#faults.explains(code, Date.parse(job.created_at), toMs)) return;
    this.#breaches.add(`${what} failed without a true reason: ${code} ${job.error?.message ?? ''}`);
  }

  #deliveredAfter({ plan }: Entry, { id }: WireJob): boolean {
    return [...this.#known.values()].some(
      ({ entry, job }) =>
        entry.plan.place === plan.place &&
        entry.plan.finalPath === plan.finalPath &&
        job.state === 'delivered' &&
        job.id > id,
    );
  }

  async #checkFile(watcher: Watcher, knowns: readonly Known[]): Promise<void> {
    const last = knowns
      .filter(({ job }) => job.state === 'delivered')
      .sort((a, b) => (a.job.id < b.job.id ? -1 : 1))
      .at(-1);
    const { place, finalPath } = (knowns[0] as Known).entry.plan;
    const number = await watcher.look(place, finalPath);
    const standing = number === undefined ? undefined : this.#known.get(number);
    if (standing === last) return;
    if (standing === undefined) {
      this.#breaches.add(
        `${place.project}/${place.instance}:${finalPath} holds ${number === undefined ? 'nothing' : `upload ${number}`}, and ` +
          `job ${last?.job.id} (upload ${last?.entry.plan.number}) was delivered there`,
      );
      return;
    }
    if (this.#isUnsure(standing) && (last === undefined || standing.job.id > last.job.id)) return;
    this.#breaches.add(
      `${place.project}/${place.instance}:${finalPath} holds ${describe(standing)}, and the last one delivered is ` +
        `${last === undefined ? 'none' : describe(last)}`,
    );
  }

  #checkSightings(cutsAtMs: readonly number[]): void {
    for (const [file, sightings] of this.#ledger.sightings()) {
      let highest: (Known & { readonly atMs: number }) | undefined;
      for (const { number, atMs, sinceMs } of sightings) {
        const known = this.#known.get(number);
        if (known === undefined) {
          const entry = this.#ledger.find(number);
          this.#breaches.add(
            `${file} showed upload ${number}, which has no job (${entry?.state} ${entry?.code ?? ''})`,
          );
          continue;
        }
        const from = highest;
        if (from !== undefined && known.job.id < from.job.id) {
          // After a power cut files are delivered again in their order. An archive's are all of them, so that for a moment one
          // may stand there again that a later job had replaced without living to say so; and the other way round. A job that
          // did not live to say what it put there, and then failed, is none of those delivered: the last of them comes back.
          const isCut = cutsAtMs.some((cutMs) => cutMs >= from.atMs - LOOK_SLACK_MS && cutMs <= atMs);
          const isUnsaid = from.job.state === 'failed' && this.#isUnsure(from);
          if (isCut && (isUnsaid || from.entry.plan.inArchive || known.entry.plan.inArchive)) continue;
          this.#breaches.add(`${file} went back from ${describe(from)} to ${describe(known)}`);
        } else highest = { ...known, atMs };
        this.#checkVisible(file, known, sinceMs);
      }
    }
  }

  /** Whether a job that is not delivered may have put its file into place all the same. */
  #isUnsure({ entry, job }: Known): boolean {
    if (job.state === 'cancelled') return true;
    if (job.state !== 'failed') return false;
    // An archive that fails leaves what it has put into place before.
    if (entry.plan.inArchive) return true;
    // An attempt without an error: it was delivered, and after a power cut once more, or tried to be.
    if ((job.history ?? []).some(({ error }) => error === null || UNSURE.has(error.code))) return true;
    const sightings = this.#ledger.sightings().get(hostPath(entry.plan.place, entry.plan.finalPath)) ?? [];
    return sightings.some(
      ({ number, sinceMs }) =>
        number === entry.plan.number &&
        this.#endedAtMs.some((endMs) => endMs > sinceMs - LOOK_SLACK_MS && endMs < sinceMs + COMMIT_MS),
    );
  }

  #checkVisible(file: string, known: Known, sinceMs: number): void {
    const { job, entry } = known;
    if (job.state === 'failed' && !this.#isUnsure(known)) {
      this.#breaches.add(`${file} showed ${describe(known)}: ${job.error?.code}`);
    }
    const cancelledAtMs = entry.cancelledAtMs ?? Number.POSITIVE_INFINITY;
    if (job.state === 'cancelled' && sinceMs > cancelledAtMs + LOOK_SLACK_MS) {
      this.#breaches.add(`${file} showed ${describe(known)} after its cancel was answered`);
    }
  }
}

function describe({ entry, job }: Known): string {
  return `job ${job.id} (upload ${entry.plan.number}, ${job.state})`;
}
