import { retryJob } from '../client/jobs.ts';
import type { GlobalFlags } from './context.ts';
import { forEachJob, printJob } from './follow-jobs.ts';

/** `retry ID...`; of a batch what has failed. */
export async function runRetry(ids: readonly string[], flags: GlobalFlags): Promise<number> {
  return await forEachJob(
    ids,
    flags,
    1,
    async ({ connection, output, signal }, id) => {
      printJob(output, flags, await retryJob(connection, id, { signal }));
      return 0;
    },
    { fits: ({ state }) => state === 'failed', otherwise: 'nothing to retry, none of its jobs has failed' },
  );
}
