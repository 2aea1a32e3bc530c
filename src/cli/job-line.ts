import { formatDestination } from '../protocol/destination.ts';
import type { Job } from '../protocol/job.ts';
import { printable } from './output.ts';
import { describeSize } from './transfer.ts';

/** Where a job's file is or will be, or the directory that its archive is unpacked into: `INSTANCE:/path`. */
export function destinationOf(
  job: Pick<Job, 'instance' | 'path' | 'sourceName' | 'extract'> & { readonly deliveredPath?: string | null },
): string {
  if (job.extract === 'tar') return formatDestination(job);
  const path = job.deliveredPath ?? (job.path.endsWith('/') ? job.path + job.sourceName : job.path);
  return formatDestination({ instance: job.instance, path });
}

/** One line for a job: id, state and destination first, divided by one blank each. */
export function formatJobLine(job: Job): string {
  const notes = [describeSize({ files: job.filesTotal ?? undefined, sizeBytes: job.size })];
  if (job.ahead !== null && job.ahead > 0) notes.push(`${job.ahead} ahead`);
  if (job.error !== null && job.state !== 'delivered') notes.push(job.error.code);
  return printable(`${job.id} ${job.state} ${destinationOf(job)} (${notes.join(', ')})`);
}
