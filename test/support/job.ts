import type { Job } from '../../src/protocol/job.ts';
import { encodeJobId } from '../../src/protocol/job-id.ts';

/** A job as a daemon tells it, for what only shows jobs. */
export function jobNumber(sequence: number, change: Partial<Job> = {}): Job {
  return {
    ...{
      id: encodeJobId(sequence),
      state: 'queued',
      instance: 'web',
      project: 'default',
      path: `/srv/${sequence}`,
    },
    ...{ deliveredPath: null, sourceName: 'x', size: 1000, sha256: null, mode: 0o644, uid: 0, gid: 0 },
    ...{ createDirs: true, createdAt: 0, updatedAt: 0, finishedAt: null, attempts: 0, maxAttempts: 10 },
    ...{ nextAttemptAt: null, bytesDelivered: 0, ahead: null, error: null, submittedBy: null, history: [] },
    ...change,
  };
}
