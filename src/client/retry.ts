import { setTimeout as sleep } from 'node:timers/promises';
import { backOffDelayMs } from '../base/back-off.ts';
import { CodedError, type ErrorCode } from '../errors.ts';

const BACK_OFF = { minDelayMs: 500, maxDelayMs: 30_000 };

/** Failures after which the same request, under the same Idempotency-Key, may be sent again. */
const RETRYABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'daemon_unreachable',
  'send_failed',
  'stalled',
  'too_many_uploads',
  'queue_full',
  'draining',
  'not_ready',
  'disk_low',
]);

export type RetryOptions = {
  /** How many times more after the first. */
  readonly retries: number;
  readonly signal?: AbortSignal | undefined;
  /** Whether it can be done again at all, asked after each failure. */
  readonly mayRepeat?: () => boolean;
  readonly onRetry?: (error: CodedError, delayMs: number) => void;
};

/** Runs `attempt` until it resolves, fails for good, or the retries are used up; then with its last error. */
export async function withRetries<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof CodedError) || !RETRYABLE.has(error.code)) throw error;
      if (failures > options.retries || options.mayRepeat?.() === false) throw error;
      const delayMs = Math.max(
        backOffDelayMs(failures, BACK_OFF, Math.random),
        (error.retryAfterSeconds ?? 0) * 1000,
      );
      options.onRetry?.(error, delayMs);
      await pause(delayMs, options.signal);
    }
  }
}

/** Resolves after a delay; rejects with the signal's reason when that fires before. */
export async function pause(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(delayMs, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    throw signal?.reason instanceof CodedError ? signal.reason : error;
  }
}
