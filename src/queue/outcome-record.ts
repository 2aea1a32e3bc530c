import { type BackOff, backOffDelayMs } from '../base/back-off.ts';
import type { Outcome } from '../delivery/target.ts';
import type { Attempt } from '../protocol/job.ts';
import type { JobRecord } from '../spool/job-record.ts';

export type RetryPolicy = BackOff & {
  /** Least wait after a failure that does not pass in seconds, such as a full disk. */
  readonly slowDelayMs: number;
};

/** Attempts that a job's history keeps. */
const HISTORY_LENGTH = 10;

/**
 * What becomes of a job after an attempt. An attempt that failed because Incus is away is not counted: the job is
 * queued as before.
 */
export function recordOutcome(
  record: JobRecord,
  outcome: Outcome,
  about: { startedAtMs: number; nowMs: number; policy: RetryPolicy; random: () => number },
): JobRecord {
  const { startedAtMs, nowMs, policy, random } = about;
  if (outcome.kind === 'transient' && outcome.scope === 'target') return record;

  const error = outcome.kind === 'delivered' ? null : outcome.error;
  const attempt: Attempt = { startedAt: startedAtMs, endedAt: nowMs, error };
  const attempts = record.attempts + 1;
  const after: JobRecord = {
    ...record,
    attempts,
    attemptsTotal: record.attemptsTotal + 1,
    updatedAt: nowMs,
    nextAttemptAt: null,
    error,
    history: [...record.history, attempt].slice(-HISTORY_LENGTH),
  };
  if (outcome.kind === 'delivered') {
    return { ...after, state: 'delivered', deliveredPath: outcome.path, finishedAt: nowMs };
  }
  if (outcome.kind === 'permanent' || attempts >= record.maxAttempts) {
    return { ...after, state: 'failed', finishedAt: nowMs };
  }
  const delayMs = backOffDelayMs(attempts, policy, random);
  const waitMs = outcome.slow ? Math.max(delayMs, Math.min(policy.slowDelayMs, policy.maxDelayMs)) : delayMs;
  return { ...after, state: 'deferred', nextAttemptAt: nowMs + waitMs };
}
