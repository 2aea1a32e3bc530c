/** From the request of an upload to what the spool takes, and from whatever went wrong to an error with a code. */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { CodedError, messageOf, systemCode } from '../errors.ts';
import type { UploadRequest } from '../protocol/upload-headers.ts';
import type { JobRecord } from '../spool/job-record.ts';
import type { Draft } from '../spool/spool.ts';
import type { Caller } from './caller.ts';

/** What an upload asks for, as the spool takes it; `forbidden` when the caller may not. */
export function draftOf(request: UploadRequest, caller: Caller): Draft {
  const { submittedBy } = caller;
  const admitted = caller.admit(request);
  const { instance, project, path, sourceName, mode, uid, gid, createDirs, sha256, extract } = admitted;
  const idempotencyKey = hashKey(request, submittedBy);
  return {
    instance,
    project,
    path,
    sourceName,
    mode,
    uid,
    gid,
    createDirs,
    sha256,
    idempotencyKey,
    submittedBy,
    extract,
  };
}

/** Keys of two senders never meet; the journal's keys are short, whatever a sender calls its own. */
export function hashKey({ idempotencyKey }: UploadRequest, submittedBy: string | null): string | null {
  if (idempotencyKey === null) return null;
  return createHash('sha256')
    .update(`${submittedBy ?? ''}\0${idempotencyKey}`)
    .digest('base64url');
}

/** Whether a job that was accepted under the same key is for the same file. */
export function sameDestination(draft: Draft, record: JobRecord): boolean {
  if (draft.batch !== undefined) return draft.batch.request === record.batchRequest;
  if (record.batch !== null) return false;
  return (
    draft.instance === record.instance &&
    draft.project === record.project &&
    draft.path === record.path &&
    (draft.extract ?? null) === record.extract &&
    (draft.extract === 'tar' || !draft.path.endsWith('/') || draft.sourceName === record.sourceName)
  );
}

/**
 * Content-Length, or undefined for a chunked body. Neither is `length_required`: an empty file is declared as such, and
 * a sender that forgot its body must not empty a file. Node has refused lengths that are no one number.
 */
export function declaredLength(req: IncomingMessage): number | undefined {
  const { headers } = req;
  // RFC 9110 section 14.4: a part of a file must not be taken for the whole.
  if (headers['content-range'] !== undefined)
    throw new CodedError('bad_request', 'Content-Range is not supported: send the whole file');
  const length = headers['content-length'];
  if (length !== undefined) return Number(length);
  const coding = headers['transfer-encoding'];
  if (coding === undefined) throw new CodedError('length_required');
  if (coding.trim().toLowerCase() !== 'chunked')
    throw new CodedError('bad_request', 'Transfer-Encoding: expected chunked alone');
  return undefined;
}

/** What ended an upload, as an error with a code. */
export function codedError(cause: unknown): CodedError {
  if (cause instanceof CodedError) return cause;
  const code = systemCode(cause);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new CodedError('disk_low', 'The disk of the daemon is full; make room there, then try again', {
      cause,
      retryAfterSeconds: 30,
    });
  }
  return new CodedError('internal', messageOf(cause), { cause });
}
