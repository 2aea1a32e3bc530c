/**
 * The journal's record of a job: JSON in snake_case, one value per job. It holds what must survive; what only lives in
 * memory (progress, place in the queue) is added when a job is shown. A record that cannot be read is an error that
 * names the job, never a silent skip.
 */
import { z } from 'zod';
import { CodedError, type ErrorCode, isErrorCode, messageOf } from '../errors.ts';
import { encodeBatchId } from '../protocol/batch-id.ts';
import { type Attempt, JOB_STATES, type Job, type JobError } from '../protocol/job.ts';
import { encodeJobId } from '../protocol/job-id.ts';

export type ArchiveFacts = {
  /** Set when the payload is an archive. */
  readonly extract: 'tar' | null;
  /** Files and links in it. */
  readonly filesTotal: number | null;
};

/** What is kept of a job besides its sequence. Times are milliseconds since 1970. */
export type JobRecord = Omit<
  Job,
  'id' | 'ahead' | 'bytesDelivered' | 'nextAttemptAt' | 'extract' | 'filesTotal' | 'filesDone' | 'batch'
> &
  ArchiveFacts & {
    readonly sequence: number;
    /** Attempts that count against `maxAttempts` start again at 0 on a retry; this one never does. */
    readonly attemptsTotal: number;
    readonly nextAttemptAt: number | null;
    /** Number of the payload's file, 0 when the payload is in the journal. */
    readonly payloadFile: number;
    /** Key of the idempotency index, or null. */
    readonly idempotencyKey: string | null;
    /** Number of the batch it belongs to: the sequence of the first job of that. Null for a job of its own. */
    readonly batch: number | null;
    /** Of the first job of a batch that has an idempotency key: what was asked for, as a digest. */
    readonly batchRequest: string | null;
  };

const error = z.object({ code: z.string(), message: z.string(), retryable: z.boolean() });

const schema = z.object({
  v: z.literal(1),
  state: z.enum(JOB_STATES),
  instance: z.string(),
  project: z.string(),
  path: z.string(),
  delivered_path: z.string().nullable(),
  source_name: z.string(),
  mode: z.number(),
  uid: z.number(),
  gid: z.number(),
  create_dirs: z.boolean(),
  size: z.number(),
  sha256: z.string().nullable(),
  created_at: z.number(),
  updated_at: z.number(),
  finished_at: z.number().nullable(),
  attempts: z.number(),
  attempts_total: z.number(),
  max_attempts: z.number(),
  next_attempt_at: z.number().nullable(),
  error: error.nullable(),
  submitted_by: z.string().nullable(),
  history: z.array(z.object({ started_at: z.number(), ended_at: z.number(), error: error.nullable() })),
  payload_file: z.number(),
  idempotency_key: z.string().nullable(),
  // Records of earlier versions know no archives.
  extract: z.literal('tar').nullable().default(null),
  files_total: z.number().nullable().default(null),
  batch: z.number().nullable().default(null),
  batch_request: z.string().nullable().default(null),
});

export function encodeJobRecord(record: JobRecord): Buffer {
  const json: z.input<typeof schema> = {
    v: 1,
    state: record.state,
    instance: record.instance,
    project: record.project,
    path: record.path,
    delivered_path: record.deliveredPath,
    source_name: record.sourceName,
    mode: record.mode,
    uid: record.uid,
    gid: record.gid,
    create_dirs: record.createDirs,
    size: record.size,
    sha256: record.sha256,
    created_at: record.createdAt,
    updated_at: record.updatedAt,
    finished_at: record.finishedAt,
    attempts: record.attempts,
    attempts_total: record.attemptsTotal,
    max_attempts: record.maxAttempts,
    next_attempt_at: record.nextAttemptAt,
    error: record.error,
    submitted_by: record.submittedBy,
    history: record.history.map((attempt) => ({
      started_at: attempt.startedAt,
      ended_at: attempt.endedAt,
      error: attempt.error,
    })),
    payload_file: record.payloadFile,
    idempotency_key: record.idempotencyKey,
    ...(record.extract === null ? {} : { extract: record.extract, files_total: record.filesTotal }),
    ...(record.batch === null ? {} : { batch: record.batch }),
    ...(record.batchRequest === null ? {} : { batch_request: record.batchRequest }),
  };
  return Buffer.from(JSON.stringify(json));
}

export function decodeJobRecord(sequence: number, bytes: Uint8Array): JobRecord {
  try {
    const json = schema.parse(
      JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')),
    );
    return {
      sequence,
      state: json.state,
      instance: json.instance,
      project: json.project,
      path: json.path,
      deliveredPath: json.delivered_path,
      sourceName: json.source_name,
      mode: json.mode,
      uid: json.uid,
      gid: json.gid,
      createDirs: json.create_dirs,
      size: json.size,
      sha256: json.sha256,
      createdAt: json.created_at,
      updatedAt: json.updated_at,
      finishedAt: json.finished_at,
      attempts: json.attempts,
      attemptsTotal: json.attempts_total,
      maxAttempts: json.max_attempts,
      nextAttemptAt: json.next_attempt_at,
      error: json.error === null ? null : decodeError(json.error),
      submittedBy: json.submitted_by,
      history: json.history.map(
        (attempt): Attempt => ({
          startedAt: attempt.started_at,
          endedAt: attempt.ended_at,
          error: attempt.error === null ? null : decodeError(attempt.error),
        }),
      ),
      payloadFile: json.payload_file,
      idempotencyKey: json.idempotency_key,
      extract: json.extract,
      filesTotal: json.files_total,
      batch: json.batch,
      batchRequest: json.batch_request,
    };
  } catch (cause) {
    throw new CodedError(
      'internal',
      `Cannot read the journal's record of job ${encodeJobId(sequence)}: ${messageOf(cause)}`,
      {
        cause,
      },
    );
  }
}

function decodeError(json: z.output<typeof error>): JobError {
  const code: ErrorCode = isErrorCode(json.code) ? json.code : 'internal';
  return { code, message: json.message, retryable: json.retryable };
}

/** The job as it is shown: the record with what only memory knows. */
export function jobOf(
  record: JobRecord,
  live: { ahead: number | null; bytesDelivered: number; filesDone?: number | null },
): Job {
  const {
    sequence,
    batch,
    attemptsTotal: _a,
    payloadFile: _f,
    idempotencyKey: _i,
    batchRequest: _r,
    ...job
  } = record;
  const filesDone = record.extract === null ? null : (live.filesDone ?? 0);
  const batchId = batch === null ? null : encodeBatchId(batch);
  return { id: encodeJobId(sequence), ...job, batch: batchId, ...live, filesDone };
}
