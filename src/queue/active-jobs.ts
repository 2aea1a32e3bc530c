/** The jobs that are with fastq or being delivered, and how jobs look while they are: what the journal does not know. */
import { isFinished, type Job, laneOf } from '../protocol/job.ts';
import { type JobRecord, jobOf } from '../spool/job-record.ts';
import type { Spool } from '../spool/spool.ts';

export type ActiveJob = {
  readonly controller: AbortController;
  /** Milliseconds since 1970; 0 while it waits for its turn. */
  startedAtMs: number;
  /** Bytes that the instance has confirmed. */
  bytes: number;
  /** Files of an archive that are done with. */
  files: number;
  /** Somebody wants it cancelled. */
  cancelled: boolean;
  /** Called when the attempt has ended and its outcome is written down. */
  readonly ended: (() => void)[];
};

export class ActiveJobs {
  readonly #spool: Spool;
  readonly #jobs = new Map<number, ActiveJob>();

  constructor(spool: Spool) {
    this.#spool = spool;
  }

  add(sequence: number, controller: AbortController): ActiveJob {
    const job: ActiveJob = { controller, startedAtMs: 0, bytes: 0, files: 0, cancelled: false, ended: [] };
    this.#jobs.set(sequence, job);
    return job;
  }

  get(sequence: number): ActiveJob | undefined {
    return this.#jobs.get(sequence);
  }

  /** Takes the job out; whoever waits for its end has to be woken by the caller. */
  delete(sequence: number): void {
    this.#jobs.delete(sequence);
  }

  /** A number that changes when one of the jobs gets on: with bytes that were confirmed, and with each end. */
  progressOf(sequences: readonly number[]): number {
    let sum = 0;
    for (const sequence of sequences) {
      const job = this.#jobs.get(sequence);
      if (job !== undefined) sum += job.bytes + job.files + 1;
    }
    return sum;
  }

  /** Ends every attempt under way early. */
  abortAll(): void {
    for (const job of this.#jobs.values()) job.controller.abort();
  }

  /** Resolves when every attempt under way now has ended. */
  async untilEnded(): Promise<void> {
    const started = [...this.#jobs.values()].filter((job) => job.startedAtMs > 0);
    await Promise.all(started.map((job) => new Promise<void>((resolve) => job.ended.push(resolve))));
  }

  /** Sequences of the jobs that are being delivered. */
  delivering(): number[] {
    const sequences: number[] = [];
    for (const [sequence, job] of this.#jobs) if (job.startedAtMs > 0) sequences.push(sequence);
    return sequences;
  }

  /** Unfinished jobs by state. */
  counts(): { queued: number; deferred: number; delivering: number } {
    const active = this.delivering();
    const { deferred, size } = this.#spool.live;
    const waiting = deferred.size - active.filter((sequence) => deferred.has(sequence)).length;
    return {
      queued: Math.max(0, size - active.length - waiting),
      deferred: waiting,
      delivering: active.length,
    };
  }

  /** The job as it stands now. */
  view(record: JobRecord): Job {
    if (isFinished(record.state)) {
      const done = record.state === 'delivered';
      return jobOf(record, {
        ahead: null,
        bytesDelivered: done ? record.size : 0,
        filesDone: done ? record.filesTotal : 0,
      });
    }
    const ahead = this.#spool.live.ahead(laneOf(record), record.sequence);
    const active = this.#jobs.get(record.sequence);
    if (active === undefined || active.startedAtMs === 0) return jobOf(record, { ahead, bytesDelivered: 0 });
    const job = jobOf(record, { ahead, bytesDelivered: active.bytes, filesDone: active.files });
    return { ...job, state: 'delivering', attempts: job.attempts + 1, nextAttemptAt: null, error: null };
  }
}
