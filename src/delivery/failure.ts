/**
 * What a failure means for a delivery, whatever kind of target it happened on: one verdict, and the one table for
 * errors of file systems, by the system's own names. Targets map what they see to these.
 */
import { CodedError, type ErrorCode, messageOf } from '../errors.ts';
import { StoppedError } from './deadline.ts';
import type { FailureScope, Outcome } from './target.ts';

export type Verdict = {
  readonly code: ErrorCode;
  readonly kind: 'transient' | 'permanent';
  readonly scope: FailureScope;
  readonly slow: boolean;
};

export const permanent = (code: ErrorCode): Verdict => ({
  code,
  kind: 'permanent',
  scope: 'job',
  slow: false,
});

export const transient = (code: ErrorCode, scope: FailureScope, slow = false): Verdict => ({
  code,
  kind: 'transient',
  scope,
  slow,
});

/** A file system's errors. Those not named here are tried again: nothing says that they will stay. */
const BY_SYSTEM_CODE: Readonly<Record<string, Verdict>> = {
  ENOENT: permanent('parent_missing'),
  ENOTDIR: permanent('parent_missing'),
  ELOOP: permanent('parent_missing'),
  EISDIR: permanent('destination_is_directory'),
  EEXIST: permanent('destination_is_directory'),
  ENOTEMPTY: permanent('destination_is_directory'),
  ENAMETOOLONG: permanent('name_too_long'),
  EACCES: permanent('permission_denied'),
  EPERM: permanent('permission_denied'),
  EROFS: permanent('permission_denied'),
  EINVAL: permanent('permission_denied'),
  // The destination is a mount point of its own, such as a bind-mounted /etc/resolv.conf.
  EBUSY: permanent('permission_denied'),
  EXDEV: permanent('permission_denied'),
  EFBIG: permanent('too_large'),
  ENOSPC: transient('instance_disk_full', 'job', true),
  EDQUOT: transient('instance_disk_full', 'job', true),
};

export function verdictOfSystemCode(code: string): Verdict {
  return BY_SYSTEM_CODE[code] ?? transient('instance_unavailable', 'job');
}

/** A delivery cannot go on, for a reason found here and not told by the other side. */
export class DeliveryError extends Error {
  readonly verdict: Verdict;

  constructor(verdict: Verdict, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'DeliveryError';
    this.verdict = verdict;
  }
}

export const refusal = (code: ErrorCode, message: string): DeliveryError =>
  new DeliveryError(permanent(code), message);

/** Failures of this side: the payload, whoever keeps the job, or the signal. Undefined for all others. */
export function ownVerdict(error: unknown): Verdict | undefined {
  if (error instanceof DeliveryError) return error.verdict;
  if (error instanceof StoppedError) return transient('cancelled', 'job');
  return undefined;
}

/** The payload could not be read: lost for ever, or given up while it was still arriving. */
export function payloadError(error: unknown): DeliveryError {
  if (error instanceof DeliveryError) return error;
  const code = error instanceof CodedError ? error.code : 'internal';
  const verdict = code === 'payload_lost' ? permanent(code) : transient(code, 'job');
  return new DeliveryError(verdict, messageOf(error), error);
}

export function failedOutcome(verdict: Verdict, message: string, temporaryLeft: boolean): Outcome {
  const { code, kind, scope, slow } = verdict;
  return kind === 'permanent'
    ? { kind, error: { code, message, retryable: false }, temporaryLeft }
    : { kind, error: { code, message, retryable: true }, scope, slow, temporaryLeft };
}
