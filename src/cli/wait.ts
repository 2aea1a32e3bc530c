import { CodedError } from '../errors.ts';
import type { Job } from '../protocol/job.ts';
import { awaitJob } from './await-job.ts';
import type { GlobalFlags } from './context.ts';
import { forEachJob, isBatchId, printJob } from './follow-jobs.ts';
import { monotonicMs } from './monotonic-clock.ts';
import { createOutput } from './output.ts';
import { isLost } from './transfer.ts';

const WATCHED_JOBS = 64;

/** `wait ID...`; of a batch all its jobs. Resolves to 1 when a job failed or was cancelled, 124 when the time ran out. */
export async function runWait(
  ids: readonly string[],
  options: { readonly timeout?: number },
  flags: GlobalFlags,
): Promise<number> {
  const deadlineMs = options.timeout === undefined ? undefined : monotonicMs() + options.timeout;
  const batches = new Map<string, { lost: Job[]; of: number }>();
  for (const id of ids) if (isBatchId(id)) batches.set(id, { lost: [], of: 0 });
  const status = await forEachJob(ids, flags, WATCHED_JOBS, async ({ connection, output, signal }, id) => {
    const timeoutMs = deadlineMs === undefined ? undefined : Math.max(0, deadlineMs - monotonicMs());
    const job = await awaitJob(connection, id, { signal, timeoutMs });
    printJob(output, flags, job);
    const batch = batches.get(job.batch ?? '');
    if (batch !== undefined) {
      batch.of += 1;
      if (isLost(job.state)) batch.lost.push(job);
      return isLost(job.state) ? 1 : 0;
    }
    if (!isLost(job.state)) return 0;
    const { explainLoss } = await import('./explain-loss.ts');
    const { code, message } = await explainLoss(connection, job, signal);
    output.fail(new CodedError(code, `${job.id} ${job.state}: ${message}`), { id: job.id });
    return 1;
  });
  const output = createOutput(flags);
  const { printLosses } = await import('./losses.ts');
  for (const [batch, losses] of batches) printLosses(output, flags, { batch, ...losses });
  return status;
}
