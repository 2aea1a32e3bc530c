/** Goes through the jobs: can the record be read, and does every table have what follows from it. */

import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import { encodeJobId } from '../protocol/job-id.ts';
import { keyOfPath } from '../protocol/path-key.ts';
import { checkMember } from './fsck-batches.ts';
import type { Finding, FsckContext } from './fsck-finding.ts';
import { mayHavePayload } from './fsck-needs.ts';
import { decodeJobRecord, type JobRecord } from './job-record.ts';
import { FINISHED_STATES, finishedState, finishedValue, liveValue } from './job-tables.ts';
import { decodeNumber, encodeNumbers } from './number-codec.ts';
import { payloadName } from './recovery.ts';

/** Findings about one job after the other; `onRecord` gets every record that can be read. */
export function* checkRecords(
  context: FsckContext,
  onRecord: (record: JobRecord) => void,
): Iterable<Finding> {
  for (const { key, value } of context.journal.jobs.getRange({ start: 0 })) {
    let record: JobRecord;
    try {
      record = decodeJobRecord(key, value);
    } catch (error) {
      yield unreadable(context, key, Buffer.from(value), error);
      continue;
    }
    if (record.payloadFile !== 0) context.knownFiles.add(record.payloadFile);
    if (record.batch !== null && mayHavePayload(context, record)) context.neededBatches.add(record.batch);
    yield* checkTables(context, record);
    yield* checkMember(context, record);
    yield* checkKey(context, record);
    yield* checkPath(context, record);
    onRecord(record);
  }
}

function unreadable(
  { journal, directory, lost, knownFiles, batchOf }: FsckContext,
  sequence: number,
  bytes: Buffer,
  error: unknown,
): Finding {
  const id = encodeJobId(sequence);
  const inline = journal.payloads.get(sequence);
  const payload = inline === undefined ? undefined : Buffer.from(inline);
  const batch = batchOf.get(sequence);
  // A payload that others share is theirs; when nobody needs it, it is found as an orphan.
  const file = batch === undefined ? fileOf(journal, sequence) : 0;
  if (file !== 0) knownFiles.add(file);
  return {
    kind: 'unreadable_record',
    job: id,
    message: messageOf(error),
    remedy: batch === undefined ? 'record and payload moved to lost+found' : 'record moved to lost+found',
    putAside: async () => {
      await lost.keep(`${id}.record`, bytes);
      if (payload !== undefined) await lost.keep(`${id}.payload`, payload);
      if (file !== 0) await lost.move(join(directory, payloadName(file)), `${id}.payload`);
    },
    fill: () => {
      journal.jobs.remove(sequence);
      journal.live.remove(sequence);
      journal.payloads.remove(sequence);
      if (batch !== undefined) journal.batches.remove([batch, sequence]);
      for (const state of FINISHED_STATES) journal[state].remove(sequence);
    },
  };
}

/** The payload file that a job's entries name, 0 for none. */
function fileOf(journal: FsckContext['journal'], sequence: number): number {
  const live = journal.live.get(sequence);
  if (live !== undefined && live.length >= 16) return decodeNumber(live, 1);
  for (const state of FINISHED_STATES) {
    const value = journal[state].get(sequence);
    if (value !== undefined && value.length >= 16) return decodeNumber(value, 1);
  }
  return 0;
}

function* checkTables({ journal }: FsckContext, record: JobRecord): Iterable<Finding> {
  const { sequence, instance, project } = record;
  const job = encodeJobId(sequence);
  const state = finishedState(record);
  const table = journal[state ?? 'live'];
  const expected = state === undefined ? liveValue(record) : finishedValue(record);
  const actual = table.get(sequence);
  if (actual === undefined || !expected.equals(actual)) {
    yield {
      kind: state === undefined ? 'live_entry' : 'finished_entry',
      job,
      message: `The ${record.state} job ${actual === undefined ? 'is missing from' : 'has a wrong entry in'} its table`,
      remedy: 'entry written anew',
      fill: () => table.put(sequence, expected),
    };
  }
  if (state === undefined || journal.instances.doesExist([instance, project, sequence])) return;
  yield {
    kind: 'instance_entry',
    job,
    message: `The ${state} job is missing from the index of instance ${instance}`,
    remedy: 'entry written anew',
    fill: () => journal.instances.put([instance, project, sequence], Buffer.alloc(0)),
  };
}

function* checkKey({ journal, read, rewritten }: FsckContext, record: JobRecord): Iterable<Finding> {
  const { idempotencyKey: key, sequence } = record;
  if (key === null) return;
  const value = journal.keys.get(key);
  const owner = value === undefined ? 'missing' : read(decodeNumber(value));
  if (typeof owner === 'object' && owner.idempotencyKey === key) return;
  rewritten.add(key);
  yield {
    kind: 'key_entry',
    job: encodeJobId(sequence),
    message: 'The Idempotency-Key of the job does not lead to it',
    remedy: 'entry written anew',
    fill: () => journal.keys.put(key, encodeNumbers(sequence)),
  };
}

function* checkPath({ journal, rewritten }: FsckContext, record: JobRecord): Iterable<Finding> {
  // What an archive put into place is not to be seen from its record.
  if (record.state !== 'delivered' || record.deliveredPath === null || record.extract !== null) return;
  const { sequence } = record;
  const key = keyOfPath(record, record.deliveredPath);
  const value = journal.paths.get(key);
  if (value !== undefined && decodeNumber(value) >= sequence) return;
  rewritten.add(key);
  yield {
    kind: 'path_entry',
    job: encodeJobId(sequence),
    message: `The delivery to ${record.instance}:${record.deliveredPath} is missing from the index of paths`,
    remedy: 'entry written anew',
    fill: () => journal.paths.put(key, encodeNumbers(sequence)),
  };
}
