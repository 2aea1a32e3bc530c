import { formatSize } from '../base/size.ts';
import { formatDestination } from '../protocol/destination.ts';
import type { Job } from '../protocol/job.ts';
import { printable } from './output.ts';

/** Where a job's file is or will be: `INSTANCE:/path`. */
export function destinationOf(
  job: Pick<Job, 'instance' | 'path' | 'sourceName'> & { readonly deliveredPath?: string | null },
): string {
  const path = job.deliveredPath ?? (job.path.endsWith('/') ? job.path + job.sourceName : job.path);
  return formatDestination({ instance: job.instance, path });
}

/** One line for a job: id, state and destination first, divided by one blank each. */
export function formatJobLine(job: Job): string {
  const notes = [formatSize(job.size)];
  if (job.ahead !== null && job.ahead > 0) notes.push(`${job.ahead} ahead`);
  if (job.error !== null && job.state !== 'delivered') notes.push(job.error.code);
  return printable(`${job.id} ${job.state} ${destinationOf(job)} (${notes.join(', ')})`);
}
