import { cancelJob } from '../client/jobs.ts';
import { isFinished } from '../protocol/job.ts';
import type { GlobalFlags } from './context.ts';
import { forEachJob, printJob } from './follow-jobs.ts';

/** `cancel ID...`; of a batch what is not finished. */
export async function runCancel(ids: readonly string[], flags: GlobalFlags): Promise<number> {
  return await forEachJob(
    ids,
    flags,
    1,
    async ({ connection, output, signal }, id) => {
      printJob(output, flags, await cancelJob(connection, id, { signal }));
      return 0;
    },
    { fits: ({ state }) => !isFinished(state), otherwise: 'nothing to cancel, all its jobs are finished' },
  );
}
