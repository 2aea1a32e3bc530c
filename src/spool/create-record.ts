import type { JobRecord } from './job-record.ts';
import type { Draft } from './spool.ts';

/** The record of a job that is accepted now. */
export function createRecord(
  draft: Draft,
  about: {
    sequence: number;
    nowMs: number;
    size: number;
    payloadFile: number;
    maxAttempts: number;
    /** The batch that the job joins; the first job of one begins it. */
    batch?: number | undefined;
  },
): JobRecord {
  return {
    sequence: about.sequence,
    state: 'queued',
    instance: draft.instance,
    project: draft.project,
    path: draft.path,
    deliveredPath: null,
    sourceName: draft.sourceName,
    mode: draft.mode,
    uid: draft.uid,
    gid: draft.gid,
    createDirs: draft.createDirs,
    size: about.size,
    sha256: draft.sha256,
    createdAt: about.nowMs,
    updatedAt: about.nowMs,
    finishedAt: null,
    attempts: 0,
    attemptsTotal: 0,
    maxAttempts: about.maxAttempts,
    nextAttemptAt: null,
    error: null,
    submittedBy: draft.submittedBy,
    history: [],
    payloadFile: about.payloadFile,
    idempotencyKey: draft.idempotencyKey,
    extract: draft.extract ?? null,
    filesTotal: draft.filesTotal ?? null,
    batch: about.batch ?? (draft.batch === undefined ? null : about.sequence),
    batchRequest: draft.idempotencyKey === null ? null : (draft.batch?.request ?? null),
  };
}

/** The record of a finished job that is queued again, with all its attempts. */
export function requeued(record: JobRecord, nowMs: number): JobRecord {
  return {
    ...record,
    state: 'queued',
    deliveredPath: null,
    attempts: 0,
    nextAttemptAt: null,
    finishedAt: null,
    error: null,
    updatedAt: nowMs,
  };
}
