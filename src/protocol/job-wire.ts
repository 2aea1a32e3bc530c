/** The job on the wire (snake_case JSON, RFC 3339 UTC times, unknown values null) and back. */
import { z } from 'zod';
import { ERRORS, type ErrorCode, isErrorCode } from '../errors.ts';
import { type BatchId, decodeBatchId } from './batch-id.ts';
import type { Attempt, Job, JobError } from './job.ts';
import { JOB_STATES } from './job.ts';
import { decodeJobId, type JobId } from './job-id.ts';
import { formatMode, parseMode } from './mode.ts';

const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

/** The job as the plain object that goes onto the wire as JSON. */
export function encodeJob(job: Job): WireJob {
  return {
    id: job.id,
    state: job.state,
    instance: job.instance,
    project: job.project,
    path: job.path,
    delivered_path: job.deliveredPath,
    source_name: job.sourceName === '' ? null : job.sourceName,
    size: job.size,
    sha256: job.sha256,
    mode: formatMode(job.mode),
    uid: job.uid,
    gid: job.gid,
    create_dirs: job.createDirs,
    created_at: new Date(job.createdAt).toISOString(),
    updated_at: new Date(job.updatedAt).toISOString(),
    finished_at: time(job.finishedAt),
    attempts: job.attempts,
    max_attempts: job.maxAttempts,
    next_attempt_at: time(job.nextAttemptAt),
    bytes_delivered: job.bytesDelivered,
    ahead: job.ahead,
    error: job.error === null ? null : { ...job.error },
    submitted_by: job.submittedBy,
    history: job.history.map((attempt) => ({
      started_at: new Date(attempt.startedAt).toISOString(),
      ended_at: new Date(attempt.endedAt).toISOString(),
      error: attempt.error === null ? null : { ...attempt.error },
    })),
    extract: job.extract ?? null,
    files_total: job.filesTotal ?? null,
    files_done: job.filesDone ?? null,
    batch: job.batch ?? null,
  };
}

const wireTime = z.iso.datetime();
const wireError = z.object({ code: z.string(), message: z.string(), retryable: z.boolean() });

const wireJob = z.object({
  id: z.string().refine((text) => decodeJobId(text) !== undefined, 'expected a job id'),
  state: z.enum(JOB_STATES),
  instance: z.string(),
  project: z.string(),
  path: z.string(),
  delivered_path: z.string().nullable(),
  source_name: z.string().nullable(),
  size: z.number().int().nonnegative(),
  sha256: z.string().nullable(),
  mode: z.string().refine((text) => parseMode(text) !== undefined, 'expected an octal mode'),
  uid: z.number().int().nonnegative(),
  gid: z.number().int().nonnegative(),
  create_dirs: z.boolean(),
  created_at: wireTime,
  updated_at: wireTime,
  finished_at: wireTime.nullable(),
  attempts: z.number().int().nonnegative(),
  max_attempts: z.number().int().nonnegative(),
  next_attempt_at: wireTime.nullable(),
  bytes_delivered: z.number().int().nonnegative(),
  ahead: z.number().int().nonnegative().nullable(),
  error: wireError.nullable(),
  submitted_by: z.string().nullable().default(null),
  history: z
    .array(z.object({ started_at: wireTime, ended_at: wireTime, error: wireError.nullable() }))
    .default([]),
  extract: z.literal('tar').nullable().default(null),
  files_total: z.number().int().nonnegative().nullable().default(null),
  files_done: z.number().int().nonnegative().nullable().default(null),
  batch: z
    .string()
    .refine((text) => decodeBatchId(text) !== undefined, 'expected a batch id')
    .nullable()
    .default(null),
});

export type WireJob = z.input<typeof wireJob>;

/** The job out of parsed JSON; throws zod's error when it is none. Unknown members are ignored. */
export function decodeJob(json: unknown): Job {
  const wire = wireJob.parse(json);
  return {
    id: wire.id as JobId,
    state: wire.state,
    instance: wire.instance,
    project: wire.project,
    path: wire.path,
    deliveredPath: wire.delivered_path,
    sourceName: wire.source_name ?? '',
    size: wire.size,
    sha256: wire.sha256,
    mode: parseMode(wire.mode) ?? 0,
    uid: wire.uid,
    gid: wire.gid,
    createDirs: wire.create_dirs,
    createdAt: Date.parse(wire.created_at),
    updatedAt: Date.parse(wire.updated_at),
    finishedAt: wire.finished_at === null ? null : Date.parse(wire.finished_at),
    attempts: wire.attempts,
    maxAttempts: wire.max_attempts,
    nextAttemptAt: wire.next_attempt_at === null ? null : Date.parse(wire.next_attempt_at),
    bytesDelivered: wire.bytes_delivered,
    ahead: wire.ahead,
    error: wire.error === null ? null : decodeError(wire.error),
    submittedBy: wire.submitted_by,
    history: wire.history.map(
      (attempt): Attempt => ({
        startedAt: Date.parse(attempt.started_at),
        endedAt: Date.parse(attempt.ended_at),
        error: attempt.error === null ? null : decodeError(attempt.error),
      }),
    ),
    extract: wire.extract,
    filesTotal: wire.files_total,
    filesDone: wire.files_done,
    batch: wire.batch as BatchId | null,
  };
}

/** A newer daemon may know codes that this program does not. */
function decodeError(error: z.output<typeof wireError>): JobError {
  const code: ErrorCode = isErrorCode(error.code) ? error.code : 'internal';
  return { code, message: error.message || ERRORS[code].sentence, retryable: error.retryable };
}
