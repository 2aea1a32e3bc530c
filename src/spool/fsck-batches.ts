/** Compares what the journal says of the payloads of batches with the jobs: who needs them, and which files they are. */
import { encodeBatchId } from '../protocol/batch-id.ts';
import { encodeJobId } from '../protocol/job-id.ts';
import type { Finding, FsckContext } from './fsck-finding.ts';
import { mayHavePayload, needsPayload } from './fsck-needs.ts';
import type { JobRecord } from './job-record.ts';
import { decodeNumber, encodeNumbers } from './number-codec.ts';
import { HEAD_BYTES } from './shared-payloads.ts';

/** What is missing from the table for one job. */
export function* checkMember(context: FsckContext, record: JobRecord): Iterable<Finding> {
  const { journal, rewrittenBatches } = context;
  const { batch, sequence, payloadFile, size } = record;
  if (batch === null || !needsPayload(context, record)) return;
  const job = encodeJobId(sequence);
  if (!journal.batches.doesExist([batch, sequence])) {
    yield {
      kind: 'batch_entry',
      job,
      message: `The job is missing from those that need the payload of batch ${encodeBatchId(batch)}`,
      remedy: 'entry written anew',
      fill: () => journal.batches.put([batch, sequence], Buffer.alloc(0)),
    };
  }
  // A small payload stands in the entry itself: that it is missing is found where payloads are looked at.
  if (payloadFile === 0 || rewrittenBatches.has(batch)) return;
  const head = journal.batches.get([batch, 0]);
  const expected = encodeNumbers(payloadFile, size);
  if (head?.equals(expected) === true) return;
  rewrittenBatches.add(batch);
  yield {
    kind: 'batch_entry',
    job,
    message: `The entry of batch ${encodeBatchId(batch)} does not tell its payload file`,
    remedy: 'entry written anew',
    fill: () => journal.batches.put([batch, 0], expected),
  };
}

/** Entries that no job stands behind, and payloads that no job needs. */
export function* checkBatches(context: FsckContext): Iterable<Finding> {
  const { journal, lost, read, rewrittenBatches, neededBatches } = context;
  for (const [batch, sequence] of journal.batches.getKeys({})) {
    if (sequence === 0) continue;
    const record = read(sequence);
    // The entries of an unreadable record go with it.
    if (record === 'unreadable') continue;
    if (record !== 'missing' && record.batch === batch && mayHavePayload(context, record)) continue;
    yield {
      kind: 'batch_entry',
      job: encodeJobId(sequence),
      message: `The table of batches has an entry for the job, which does not need the payload of ${encodeBatchId(batch)}`,
      remedy: 'entry removed',
      fill: () => journal.batches.remove([batch, sequence]),
    };
  }
  for (const [batch, sequence] of journal.batches.getKeys({})) {
    if (sequence !== 0 || neededBatches.has(batch) || rewrittenBatches.has(batch)) continue;
    const head = journal.batches.get([batch, 0]);
    const inline = head !== undefined && head.length >= HEAD_BYTES && decodeNumber(head) === 0;
    const id = encodeBatchId(batch);
    yield {
      kind: 'orphan_payload',
      job: null,
      message: `The journal has the payload of batch ${id}, which no job needs`,
      remedy: inline ? 'moved to lost+found' : 'entry removed',
      ...(inline
        ? { putAside: () => lost.keep(`${id}.payload`, Buffer.from(head.subarray(HEAD_BYTES))) }
        : {}),
      fill: () => journal.batches.remove([batch, 0]),
    };
  }
}
