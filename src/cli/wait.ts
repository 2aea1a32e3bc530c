import { CodedError } from '../errors.ts';
import { awaitJob } from './await-job.ts';
import type { GlobalFlags } from './context.ts';
import { forEachJob, printJob } from './follow-jobs.ts';
import { monotonicMs } from './monotonic-clock.ts';
import { isLost } from './transfer.ts';

const WATCHED_JOBS = 64;

/** `wait ID...`. Resolves to 1 when a job failed or was cancelled, 124 when the time ran out. */
export async function runWait(
  ids: readonly string[],
  options: { readonly timeout?: number },
  flags: GlobalFlags,
): Promise<number> {
  const deadlineMs = options.timeout === undefined ? undefined : monotonicMs() + options.timeout;
  return await forEachJob(ids, flags, WATCHED_JOBS, async ({ connection, output, signal }, id) => {
    const timeoutMs = deadlineMs === undefined ? undefined : Math.max(0, deadlineMs - monotonicMs());
    const job = await awaitJob(connection, id, { signal, timeoutMs });
    printJob(output, flags, job);
    if (!isLost(job.state)) return 0;
    const { explainLoss } = await import('./explain-loss.ts');
    const { code, message } = await explainLoss(connection, job, signal);
    output.fail(new CodedError(code, `${job.id} ${job.state}: ${message}`), { id: job.id });
    return 1;
  });
}
