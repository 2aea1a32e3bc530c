import { isFinished, type Job, type JobState, laneOf } from '../protocol/job.ts';

/** Jobs that are remembered; the queue may hold many more. */
const UNFINISHED_KEPT = 2000;
const FINISHED_KEPT = 200;
/** Rates are those of so long. */
const WINDOW_MS = 10_000;
/** So long a job that failed stands above those that wait: somebody may want to do something about it. */
const FRESH_MS = 600_000;

export type LaneCount = {
  readonly project: string;
  readonly instance: string;
  readonly delivering: number;
  readonly queued: number;
  readonly deferred: number;
};

export type Rates = { readonly jobs: number; readonly bytes: number };

type Known = { readonly job: Job; readonly seenAtMs: number };

/** What is known of the daemon's jobs, as lists and events tell it, for a screen that shows them. */
export class WatchedJobs {
  readonly #jobs = new Map<string, Known>();
  readonly #wanted: { readonly instance: string | undefined; readonly project: string | undefined };
  readonly #startedAtMs: number;
  #samples: { readonly atMs: number; readonly jobs: number; readonly bytes: number }[] = [];

  constructor(
    wanted: { readonly instance?: string | undefined; readonly project?: string | undefined },
    nowMs: number,
  ) {
    this.#wanted = { instance: wanted.instance, project: wanted.project };
    this.#startedAtMs = nowMs;
  }

  /** Lists that were asked for at `askedAtMs`: what was heard of before that and is in none of them is gone. */
  replace(jobs: Iterable<Job>, askedAtMs: number, nowMs: number): void {
    const listed = new Set<string>();
    for (const job of jobs) {
      listed.add(job.id);
      this.#take(job, nowMs);
    }
    for (const [id, { seenAtMs }] of this.#jobs) {
      if (!listed.has(id) && seenAtMs < askedAtMs) this.#jobs.delete(id);
    }
  }

  /** A job as it is now, by an event or by a list of those that are delivered. */
  update(job: Job, nowMs: number): void {
    const before = this.#jobs.get(job.id)?.job;
    if (before !== undefined && before.updatedAt > job.updatedAt) return;
    if (!this.#take(job, nowMs)) return;
    const isNewlyDelivered = job.state === 'delivered' && before?.state !== 'delivered';
    const sameAttempt = before?.state === 'delivering' && before.attempts === job.attempts;
    const known = sameAttempt ? before.bytesDelivered : 0;
    const now = isNewlyDelivered ? job.size : job.state === 'delivering' ? job.bytesDelivered : known;
    const bytes = Math.max(0, now - known);
    if (isNewlyDelivered || bytes > 0)
      this.#samples.push({ atMs: nowMs, jobs: isNewlyDelivered ? 1 : 0, bytes });
  }

  /** A second's worth of the last ten, or of those since the start. */
  rates(nowMs: number): Rates {
    this.#samples = this.#samples.filter(({ atMs }) => nowMs - atMs < WINDOW_MS);
    const seconds = Math.max(1000, Math.min(WINDOW_MS, nowMs - this.#startedAtMs)) / 1000;
    const sum = (of: (sample: { jobs: number; bytes: number }) => number): number =>
      this.#samples.reduce((total, sample) => total + of(sample), 0) / seconds;
    return { jobs: sum(({ jobs }) => jobs), bytes: sum(({ bytes }) => bytes) };
  }

  get(id: string): Job | undefined {
    return this.#jobs.get(id)?.job;
  }

  hasAny(state: JobState): boolean {
    return this.#in(state).length > 0;
  }

  count(state: JobState): number {
    return this.#in(state).length;
  }

  /** Instances that have something to do, those with most of it first. */
  lanes(): LaneCount[] {
    const lanes = new Map<string, LaneCount>();
    for (const { job } of this.#jobs.values()) {
      if (isFinished(job.state)) continue;
      const { project, instance, state } = job;
      const lane = lanes.get(laneOf(job)) ?? { project, instance, delivering: 0, queued: 0, deferred: 0 };
      const name = state as 'delivering' | 'queued' | 'deferred';
      lanes.set(laneOf(job), { ...lane, [name]: lane[name] + 1 });
    }
    const work = (lane: LaneCount): number => lane.delivering + lane.queued + lane.deferred;
    return [...lanes.values()].sort(
      (a, b) => work(b) - work(a) || (laneOf(a) < laneOf(b) ? -1 : laneOf(a) > laneOf(b) ? 1 : 0),
    );
  }

  /**
   * Those under way first, then those that are tried again, the soonest first, then what failed lately, what waits, the
   * next one first, and at last what is over, the newest first.
   */
  sorted(nowMs: number, state?: JobState): Job[] {
    const rank = (job: Job): number => {
      if (job.state === 'delivering') return 0;
      if (job.state === 'deferred') return 1;
      if (job.state === 'failed' && nowMs - (job.finishedAt ?? 0) < FRESH_MS) return 2;
      return job.state === 'queued' ? 3 : 4;
    };
    const within = (a: Job, b: Job): number => {
      if (a.state === 'deferred' && b.state === 'deferred')
        return (a.nextAttemptAt ?? 0) - (b.nextAttemptAt ?? 0);
      if (isFinished(a.state)) return (b.finishedAt ?? 0) - (a.finishedAt ?? 0);
      return a.id < b.id ? -1 : 1;
    };
    return [...this.#jobs.values()]
      .map(({ job }) => job)
      .filter((job) => state === undefined || job.state === state)
      .sort((a, b) => rank(a) - rank(b) || within(a, b));
  }

  #in(state: JobState): Job[] {
    return [...this.#jobs.values()].map(({ job }) => job).filter((job) => job.state === state);
  }

  #take(job: Job, nowMs: number): boolean {
    const { instance, project } = this.#wanted;
    if (instance !== undefined && job.instance !== instance) return false;
    if (project !== undefined && job.project !== project) return false;
    const before = this.#jobs.get(job.id);
    if (before !== undefined && before.job.updatedAt > job.updatedAt) return false;
    // One that waits behind thousands of others is of no interest before its turn.
    if (before === undefined && job.state === 'queued' && this.#jobs.size >= UNFINISHED_KEPT) return false;
    this.#jobs.delete(job.id);
    this.#jobs.set(job.id, { job, seenAtMs: nowMs });
    if (isFinished(job.state)) this.#forgetOldest();
    return true;
  }

  #forgetOldest(): void {
    const finished = [...this.#jobs].filter(([, { job }]) => isFinished(job.state));
    if (finished.length <= FINISHED_KEPT * 2) return;
    finished.sort(([, a], [, b]) => (b.job.finishedAt ?? 0) - (a.job.finishedAt ?? 0));
    for (const [id] of finished.slice(FINISHED_KEPT)) this.#jobs.delete(id);
  }
}
