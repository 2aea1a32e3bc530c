/**
 * The audit log: a record when a job is accepted, when somebody cancels or retries it, and when it ends. Each says who,
 * what, where and what became of it; `time` says when. No record holds a token or anything of a file.
 */
import type { AuditedRequest } from '../http/app-context.ts';
import type { Job } from '../protocol/job.ts';
import { encodeJobId } from '../protocol/job-id.ts';
import type { Queue } from '../queue/queue.ts';
import type { Log } from './log.ts';

type What = Pick<Job, 'instance' | 'project' | 'path' | 'size' | 'submittedBy'> &
  Partial<Pick<Job, 'deliveredPath'>>;

/** What somebody did to a job. */
export function auditRequest(log: Log, { peer, caller, outcome, sequence, record }: AuditedRequest): void {
  log.info(
    { outcome, job: encodeJobId(sequence), by: caller.submittedBy, peer, ...describe(record) },
    'audit',
  );
}

/** A record for each job that ends, and a line for each attempt that failed and is to be repeated. */
export function auditJobs(queue: Queue, log: Log): void {
  queue.feed.watch(({ sequence, state }) => {
    if (state === 'queued' || state === 'delivering') return;
    const job = queue.find(sequence);
    if (job === undefined) return;
    const { attempts, error } = job;
    const about = { outcome: job.state, job: job.id, ...describe(job), attempts };
    const why = { ...about, code: error?.code, reason: error?.message };
    if (job.state === 'delivered' || job.state === 'cancelled') log.info(about, 'audit');
    else if (job.state === 'failed') log.warn(why, 'audit');
    else log.warn({ ...why, outcome: undefined, next_attempt_at: job.nextAttemptAt }, job.state);
  });
}

function describe({ instance, project, path, deliveredPath, size, submittedBy }: What): object {
  return { instance, project, path: deliveredPath ?? path, size, submitted_by: submittedBy };
}
