/** What a user may do with a job: cancel it, have it tried again. */
import { CodedError } from '../errors.ts';
import { isFinished, type Job, type JobState } from '../protocol/job.ts';
import { encodeJobId } from '../protocol/job-id.ts';
import { pathKeys } from '../protocol/path-key.ts';
import type { JobRecord } from '../spool/job-record.ts';
import type { Spool } from '../spool/spool.ts';
import type { ActiveJobs } from './active-jobs.ts';
import type { JobFeed } from './job-feed.ts';
import type { Lane } from './lane.ts';

export type ControlParts = {
  readonly spool: Spool;
  readonly active: ActiveJobs;
  readonly feed: JobFeed;
  readonly nowMs: () => number;
  readonly laneOf: (record: JobRecord) => Lane;
  /** Gives fastq what the lane may run now. */
  readonly pump: (lane: Lane) => void;
};

/** Ends an unfinished job; `conflict` when it is finished, or was delivered meanwhile. */
export async function cancelJob(parts: ControlParts, sequence: number): Promise<Job> {
  const { spool, active, feed, nowMs } = parts;
  const record = readJob(spool, sequence);
  if (isFinished(record.state)) throw conflict(record, 'cancelled');
  const running = active.get(sequence);
  const lane = parts.laneOf(record);
  if (running !== undefined && running.startedAtMs > 0) {
    running.cancelled = true;
    running.controller.abort();
    await new Promise<void>((resolve) => running.ended.push(resolve));
    const after = readJob(spool, sequence);
    // Its attempt had just failed by itself, and that was already being written down.
    if (!isFinished(after.state)) return cancelJob(parts, sequence);
    if (after.state !== 'cancelled') throw conflict(after, 'cancelled');
    return active.view(after);
  }
  // A job that waits for its turn in fastq stays there, and is passed over when the turn comes.
  if (running !== undefined) running.cancelled = true;
  else if (!lane.claim(sequence)) throw conflict(record, 'cancelled');
  const next = cancelled(record, nowMs());
  await spool.record(record, next);
  active.delete(sequence);
  lane.finish(sequence);
  feed.publish(sequence, next.state);
  // The lane may have been idle and forgotten since.
  parts.pump(parts.laneOf(record));
  return active.view(next);
}

/**
 * Queues a failed job again, and lets a deferred one try at once; `conflict` when the state or a later delivery to the
 * same path does not allow it.
 */
export async function retryJob(parts: ControlParts, sequence: number): Promise<Job> {
  const { spool, active, feed, nowMs } = parts;
  const record = readJob(spool, sequence);
  const lane = parts.laneOf(record);
  if (record.state === 'deferred' && active.get(sequence) === undefined) {
    lane.pausedUntilMs = 0;
    lane.hurry(sequence);
    parts.pump(lane);
    return active.view(record);
  }
  if (record.state !== 'failed') throw conflict(record, 'retried');
  if (spool.isOvertaken(pathKeys(record), sequence)) {
    const id = encodeJobId(sequence);
    throw new CodedError(
      'conflict',
      `Job ${id} cannot be retried: a later file was already delivered to its path; push it again if it is the one you want`,
    );
  }
  const next: JobRecord = {
    ...record,
    state: 'queued',
    attempts: 0,
    nextAttemptAt: null,
    finishedAt: null,
    updatedAt: nowMs(),
  };
  await spool.record(record, next);
  feed.publish(sequence, next.state);
  lane.readmit(sequence);
  parts.pump(lane);
  return active.view(next);
}

/** The record of a job that is cancelled now. */
export function cancelled(record: JobRecord, nowMs: number): JobRecord {
  return { ...record, state: 'cancelled', nextAttemptAt: null, finishedAt: nowMs, updatedAt: nowMs };
}

function readJob(spool: Spool, sequence: number): JobRecord {
  const record = spool.read(sequence);
  if (record === undefined) throw new CodedError('not_found', `There is no job ${encodeJobId(sequence)}`);
  return record;
}

const WHY_NOT: Readonly<Record<JobState, string>> = {
  queued: 'it is queued; wait for its turn',
  delivering: 'it is being delivered; wait for the end of that',
  deferred: 'it is about to be tried again; wait for that',
  delivered: 'it is delivered; push the file again to have it delivered once more',
  failed: 'it has failed; there is nothing left to do',
  cancelled: 'it was cancelled, and its file is not kept; push the file again',
};

function conflict(record: JobRecord, what: 'cancelled' | 'retried'): CodedError {
  const { state, sequence } = record;
  const isOver = what === 'cancelled' && state !== 'failed' && isFinished(state);
  const why = isOver ? `it is ${state}; there is nothing left to do` : WHY_NOT[state];
  return new CodedError('conflict', `Job ${encodeJobId(sequence)} cannot be ${what}: ${why}`);
}
