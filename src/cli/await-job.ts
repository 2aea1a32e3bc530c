import type { Connection } from '../client/connection.ts';
import { getJob } from '../client/jobs.ts';
import { pause, withRetries } from '../client/retry.ts';
import { CodedError } from '../errors.ts';
import { isFinished, type Job } from '../protocol/job.ts';
import { monotonicMs } from './monotonic-clock.ts';

/** A daemon that restarts is back within this many tries. */
const RETRIES = 6;
const WAIT_SECONDS = 30;
const PAUSE_MS = 500;
const FIRST_ANSWER_MS = 10_000;

export type AwaitOptions = {
  readonly signal: AbortSignal;
  /** Milliseconds; `wait_timeout` when they are over. */
  readonly timeoutMs?: number | undefined;
  /** Asked once a second then, and told what came. */
  readonly onJob?: (job: Job) => void;
};

/** Resolves to the job once it is finished. Rejects with `wait_timeout`, the signal's reason or what the daemon says. */
export async function awaitJob(connection: Connection, id: string, options: AwaitOptions): Promise<Job> {
  const { timeoutMs, onJob } = options;
  const startedAtMs = monotonicMs();
  const ask = async (waitSeconds: number, limitMs: number | undefined): Promise<Job> => {
    const limit = limitMs === undefined ? undefined : limitOf(id, limitMs);
    const signal = limit === undefined ? options.signal : AbortSignal.any([options.signal, limit.signal]);
    try {
      const askedAtMs = monotonicMs();
      const job = await withRetries(() => getJob(connection, id, { waitSeconds, signal }), {
        retries: RETRIES,
        signal,
      });
      onJob?.(job);
      if (waitSeconds === 0 || isFinished(job.state)) return job;
      // A daemon that is stopping answers at once; asking again at once would keep it busy.
      if (monotonicMs() - askedAtMs < PAUSE_MS) await pause(PAUSE_MS, signal);
      return job;
    } finally {
      limit?.stop();
    }
  };

  // The first question does not wait, so that however short the time is, a job that is finished already counts.
  let job = await ask(0, timeoutMs === undefined ? undefined : Math.max(timeoutMs, FIRST_ANSWER_MS));
  while (!isFinished(job.state)) {
    const leftMs = timeoutMs === undefined ? undefined : timeoutMs - (monotonicMs() - startedAtMs);
    if (leftMs !== undefined && leftMs <= 0) throw outOfTime(id);
    job = await ask(onJob === undefined ? WAIT_SECONDS : 1, leftMs);
  }
  return job;
}

function limitOf(id: string, limitMs: number): { signal: AbortSignal; stop(): void } {
  const controller = new AbortController();
  // Longer delays than a timer can hold mean no limit in practice.
  const timer = setTimeout(() => controller.abort(outOfTime(id)), Math.min(limitMs, 2 ** 31 - 1));
  return { signal: controller.signal, stop: () => clearTimeout(timer) };
}

function outOfTime(id: string): CodedError {
  return new CodedError(
    'wait_timeout',
    `${id} is not finished yet; it goes on, see: incus-upload show ${id}`,
  );
}
