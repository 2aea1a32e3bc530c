/** Which payloads have to be there: the one place that the checks ask. */
import { isFinished } from '../protocol/job.ts';
import type { FsckContext } from './fsck-finding.ts';
import type { JobRecord } from './job-record.ts';

export function mayHavePayload(
  { lingering }: Pick<FsckContext, 'lingering'>,
  { state, sequence }: JobRecord,
): boolean {
  return !isFinished(state) || state === 'failed' || (state === 'delivered' && lingering.has(sequence));
}

export function needsPayload(context: Pick<FsckContext, 'lingering'>, record: JobRecord): boolean {
  const isKnownLost = record.state === 'failed' && record.error?.code === 'payload_lost';
  return mayHavePayload(context, record) && !isKnownLost;
}
