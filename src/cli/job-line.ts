import { formatDestination } from '../protocol/destination.ts';
import type { Job } from '../protocol/job.ts';
import { printable } from './output.ts';
import { describeSize } from './transfer.ts';

type Destined = Pick<Job, 'path' | 'sourceName' | 'extract'> & { readonly deliveredPath?: string | null };

/** Where a job's file is or will be in its instance, or the directory that its archive is unpacked into. */
export function pathOf(job: Destined): string {
  if (job.extract === 'tar') return job.path;
  return job.deliveredPath ?? (job.path.endsWith('/') ? job.path + job.sourceName : job.path);
}

/** The same with the instance: `INSTANCE:/path`. */
export function destinationOf(job: Destined & Pick<Job, 'instance'>): string {
  return formatDestination({ instance: job.instance, path: pathOf(job) });
}

/** One line for a job: id, state and destination first, divided by one blank each. */
export function formatJobLine(job: Job): string {
  const notes = [describeSize({ files: job.filesTotal ?? undefined, sizeBytes: job.size })];
  if (job.ahead !== null && job.ahead > 0) notes.push(`${job.ahead} ahead`);
  if (job.error !== null && job.state !== 'delivered') notes.push(job.error.code);
  return printable(`${job.id} ${job.state} ${destinationOf(job)} (${notes.join(', ')})`);
}
