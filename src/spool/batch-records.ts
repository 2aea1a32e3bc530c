/** The jobs of a batch. Their sequences follow each other: no other job's stands between them. */
import type { JobRecord } from './job-record.ts';
import type { Journal } from './journal.ts';

/** Those that there still are, in the order of their destinations; none when there is no such batch. */
export function readBatch(
  journal: Journal,
  batch: number,
  read: (sequence: number) => JobRecord | undefined,
): JobRecord[] {
  const records: JobRecord[] = [];
  for (const sequence of journal.jobs.getKeys({ start: batch })) {
    const record = readable(read, sequence);
    if (record === undefined) continue;
    if (record.batch !== batch) break;
    records.push(record);
  }
  return records;
}

/** One that cannot be read is left to `incus-uploadd fsck`. */
function readable(
  read: (sequence: number) => JobRecord | undefined,
  sequence: number,
): JobRecord | undefined {
  try {
    return read(sequence);
  } catch {
    return undefined;
  }
}
