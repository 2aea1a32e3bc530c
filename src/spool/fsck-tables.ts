/** Goes through the tables other than `jobs`: entries that no job stands behind. */
import { isFinished } from '../protocol/job.ts';
import { encodeJobId } from '../protocol/job-id.ts';
import { keyOfPath, pathKeys } from '../protocol/path-key.ts';
import type { Finding, FindingKind, FsckContext } from './fsck-finding.ts';
import type { JobRecord } from './job-record.ts';
import { FINISHED_STATES } from './job-tables.ts';
import { decodeNumber } from './number-codec.ts';

export function* checkTables(context: FsckContext): Iterable<Finding> {
  const { journal, read, rewritten } = context;
  const dangling = (kind: FindingKind, table: string, sequence: number, remove: () => void): Finding => ({
    kind,
    job: encodeJobId(sequence),
    message: `The table of ${table} has an entry for the job, which ${stateOf(read(sequence))}`,
    remedy: 'entry removed',
    fill: remove,
  });

  for (const sequence of journal.live.getKeys({ start: 0 })) {
    const record = read(sequence);
    // The entries of an unreadable record go with it.
    if (record === 'unreadable' || (record !== 'missing' && !isFinished(record.state))) continue;
    yield dangling('live_entry', 'unfinished jobs', sequence, () => journal.live.remove(sequence));
  }
  for (const state of FINISHED_STATES) {
    for (const sequence of journal[state].getKeys({ start: 0 })) {
      const record = read(sequence);
      if (record === 'unreadable' || (record !== 'missing' && record.state === state)) continue;
      yield dangling('finished_entry', `${state} jobs`, sequence, () => journal[state].remove(sequence));
    }
  }
  for (const key of journal.instances.getKeys({})) {
    const [instance, project, sequence] = key;
    const record = read(sequence);
    if (isRecord(record) && isFinished(record.state)) {
      if (record.instance === instance && record.project === project) continue;
    }
    yield dangling('instance_entry', 'instances', sequence, () => journal.instances.remove(key));
  }
  for (const { key, value } of journal.paths.getRange({})) {
    const sequence = decodeNumber(value);
    const record = read(sequence);
    if (rewritten.has(key) || (isRecord(record) && mayHaveWritten(record, key))) continue;
    yield dangling('path_entry', 'paths', sequence, () => journal.paths.remove(key));
  }
  for (const sequence of journal.trees.getKeys({ start: 0 })) {
    const record = read(sequence);
    if (record === 'unreadable' || (record !== 'missing' && record.extract !== null)) continue;
    yield dangling('path_entry', 'trees', sequence, () => journal.trees.remove(sequence));
  }
  for (const { key, value } of journal.keys.getRange({})) {
    const sequence = decodeNumber(value);
    const record = read(sequence);
    if (rewritten.has(key) || (isRecord(record) && record.idempotencyKey === key)) continue;
    yield dangling('key_entry', 'Idempotency-Keys', sequence, () => journal.keys.remove(key));
  }
  for (const { key, value } of journal.linger.getRange({})) {
    const [, sequence] = key;
    const record = read(sequence);
    if (isRecord(record) && record.state === 'delivered') {
      if (record.payloadFile === decodeNumber(value)) continue;
    }
    yield dangling('linger_entry', 'lingering payloads', sequence, () => journal.linger.remove(key));
  }
}

/** Whether the entry of a path may name the job; one that was queued again after a power cut has no path of its own. */
function mayHaveWritten(record: JobRecord, key: number): boolean {
  if (record.deliveredPath !== null) return keyOfPath(record, record.deliveredPath) === key;
  return pathKeys(record).includes(key);
}

function isRecord(record: JobRecord | 'missing' | 'unreadable'): record is JobRecord {
  return typeof record === 'object';
}

function stateOf(record: JobRecord | 'missing' | 'unreadable'): string {
  if (record === 'missing') return 'is not in the journal';
  if (record === 'unreadable') return 'cannot be read';
  return `is ${record.state} and not meant by it`;
}
