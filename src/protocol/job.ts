/**
 * A job: one file on its way to one path in one instance.
 *
 *   queued ──▶ delivering ──▶ delivered
 *     ▲ ▲          │ │ └────▶ failed      permanent, or attempts used up
 *     │ │          │ └──────▶ queued      Incus is away, or the daemon stopped: no attempt was spent
 *     │ └─ failed ─ retry
 *     └─ deferred ◀┘                      an attempt failed that may succeed later
 *
 * `queued`, `deferred` and `delivering` may become `cancelled`. After a power cut of the host a job that was delivered
 * just before is `queued` once more, since the instance may have lost the file.
 */
import type { ErrorCode } from '../errors.ts';
import type { BatchId } from './batch-id.ts';
import type { JobId } from './job-id.ts';

export const JOB_STATES = ['queued', 'delivering', 'deferred', 'delivered', 'failed', 'cancelled'] as const;
export type JobState = (typeof JOB_STATES)[number];

/** States in which nothing more happens by itself. */
export function isFinished(state: JobState): boolean {
  return state === 'delivered' || state === 'failed' || state === 'cancelled';
}

const NEXT: Readonly<Record<JobState, readonly JobState[]>> = {
  queued: ['delivering', 'cancelled'],
  delivering: ['delivered', 'deferred', 'failed', 'queued', 'cancelled'],
  deferred: ['delivering', 'cancelled', 'queued', 'failed'],
  delivered: ['queued'],
  failed: ['queued'],
  cancelled: [],
};

export function mayBecome(from: JobState, to: JobState): boolean {
  return NEXT[from].includes(to);
}

export type JobError = {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
};

/** Where a file goes and how it shall look there. */
export type JobDestination = {
  readonly instance: string;
  readonly project: string;
  /** Absolute and cleaned; ends in `/` when the file goes into that directory under the base name of `sourceName`. */
  readonly path: string;
  /** Base name of the file on the sender's side; empty when unknown. */
  readonly sourceName: string;
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly createDirs: boolean;
};

/** One ended attempt, for the history of a job. Times are milliseconds since 1970. */
export type Attempt = {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly error: JobError | null;
};

/** A job as it is kept and shown; times are milliseconds since 1970, sizes bytes. */
export type Job = JobDestination & {
  readonly id: JobId;
  readonly state: JobState;
  /** The path of the file itself once delivered. */
  readonly deliveredPath: string | null;
  readonly size: number;
  /** Hex, when the sender gave it. */
  readonly sha256: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly finishedAt: number | null;
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly nextAttemptAt: number | null;
  readonly bytesDelivered: number;
  /** Unfinished jobs of the same instance that were accepted before; null when finished. */
  readonly ahead: number | null;
  readonly error: JobError | null;
  /** Who sent it: `token:NAME`, `uid:N`, or null where that cannot be known. */
  readonly submittedBy: string | null;
  /** The last ended attempts, oldest first. */
  readonly history: readonly Attempt[];
  /** Set when the payload is an archive that is unpacked into the directory `path`. */
  readonly extract?: 'tar' | null;
  /** Files of the archive, once they are counted, and those that are in the instance. */
  readonly filesTotal?: number | null;
  readonly filesDone?: number | null;
  /** The batch it belongs to; null for a job of its own. */
  readonly batch?: BatchId | null;
};

/** Lane of a job: everything for one instance of one project. */
export function laneOf(destination: { project: string; instance: string }): string {
  return `${destination.project}/${destination.instance}`;
}
