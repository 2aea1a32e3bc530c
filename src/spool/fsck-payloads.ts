/** Compares payloads with the jobs that need them: are they there, in full, and what they were when accepted. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ERRORS, systemCode } from '../errors.ts';
import { encodeBatchId } from '../protocol/batch-id.ts';
import { encodeJobId } from '../protocol/job-id.ts';
import type { Finding, FsckContext } from './fsck-finding.ts';
import { mayHavePayload, needsPayload } from './fsck-needs.ts';
import type { JobRecord } from './job-record.ts';
import { prepareJob } from './job-tables.ts';
import { parsePayloadName, payloadName } from './recovery.ts';
import { HEAD_BYTES } from './shared-payloads.ts';

type Damage = { readonly kind: 'payload_missing' | 'payload_damaged'; readonly message: string };

/** What is wrong with the payload of one job, if anything. */
export async function checkPayload(context: FsckContext, record: JobRecord): Promise<Finding | undefined> {
  if (!needsPayload(context, record)) return undefined;
  const damage = record.payloadFile === 0 ? inlineDamage(context, record) : await fileDamage(context, record);
  if (damage === undefined) return undefined;
  const about = { ...damage, job: encodeJobId(record.sequence) };
  const putAside = damage.kind === 'payload_damaged' ? () => setAside(context, record) : undefined;
  const lingers = record.state === 'delivered';
  return {
    ...about,
    remedy: `${putAside === undefined ? '' : 'payload moved to lost+found, '}${lingers ? 'kept no longer, the job was delivered' : 'job failed with payload_lost'}`,
    ...(putAside === undefined ? {} : { putAside }),
    fill: lingers ? () => dropLinger(context, record) : failJob(context, record, damage.message),
  };
}

/** Payloads that no job knows, and files that are none. `seen` counts the payload files. */
export async function* checkOrphans(context: FsckContext, seen: () => void): AsyncIterable<Finding> {
  const { journal, directory, lost, knownFiles, read } = context;
  for (const name of (await readdir(directory)).sort()) {
    const number = parsePayloadName(name);
    if (number !== undefined) seen();
    if (number !== undefined && knownFiles.has(number)) continue;
    const what =
      number === undefined ? 'is no payload file' : 'belongs to no job; an upload was cut off, most likely';
    yield {
      kind: number === undefined ? 'unknown_file' : 'orphan_payload',
      job: null,
      message: `payloads/${name} ${what}`,
      remedy: 'moved to lost+found',
      putAside: () => lost.move(join(directory, name)),
    };
  }
  for (const sequence of journal.payloads.getKeys({ start: 0 })) {
    const record = read(sequence);
    if (record === 'unreadable') continue;
    if (record !== 'missing' && record.payloadFile === 0 && record.batch === null) {
      if (mayHavePayload(context, record)) continue;
    }
    const id = encodeJobId(sequence);
    yield {
      kind: 'orphan_payload',
      job: id,
      message: `The journal has a payload for the job, which ${record === 'missing' ? 'is not in it' : `is ${record.state} and needs none there`}`,
      remedy: 'moved to lost+found',
      putAside: async () => {
        const bytes = journal.payloads.get(sequence);
        if (bytes !== undefined) await lost.keep(`${id}.payload`, Buffer.from(bytes));
      },
      fill: () => journal.payloads.remove(sequence),
    };
  }
}

function inlineOf({ journal }: FsckContext, { sequence, batch }: JobRecord): Buffer | undefined {
  if (batch === null) return journal.payloads.get(sequence);
  return journal.batches.get([batch, 0])?.subarray(HEAD_BYTES);
}

function inlineDamage(context: FsckContext, record: JobRecord): Damage | undefined {
  const bytes = inlineOf(context, record);
  if (bytes === undefined) {
    return { kind: 'payload_missing', message: 'The payload of the job is missing from the journal' };
  }
  return (
    sizeDamage(record, bytes.length) ??
    digestDamage(record, () => createHash('sha256').update(bytes).digest('hex'))
  );
}

/** The digest of a file that several jobs share is computed once. */
async function digestOf(context: FsckContext, payloadFile: number, path: string): Promise<string> {
  const known = context.digests.get(payloadFile);
  if (known !== undefined) return known;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  const digest = hash.digest('hex');
  context.digests.set(payloadFile, digest);
  return digest;
}

async function fileDamage(context: FsckContext, record: JobRecord): Promise<Damage | undefined> {
  const name = payloadName(record.payloadFile);
  const path = join(context.directory, name);
  let sizeBytes: number;
  try {
    sizeBytes = (await stat(path)).size;
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return { kind: 'payload_missing', message: `The payload of the job, payloads/${name}, is missing` };
  }
  const damage = sizeDamage(record, sizeBytes);
  if (damage !== undefined || record.sha256 === null) return damage;
  const digest = await digestOf(context, record.payloadFile, path);
  return digestDamage(record, () => digest);
}

function sizeDamage({ size }: JobRecord, sizeBytes: number): Damage | undefined {
  if (sizeBytes === size) return undefined;
  return {
    kind: 'payload_damaged',
    message: `The payload of the job has ${sizeBytes} bytes instead of ${size}`,
  };
}

function digestDamage({ sha256 }: JobRecord, digest: () => string): Damage | undefined {
  if (sha256 === null) return undefined;
  const actual = digest();
  if (actual === sha256) return undefined;
  return {
    kind: 'payload_damaged',
    message: `The payload of the job has SHA-256 ${actual} instead of ${sha256}`,
  };
}

async function setAside(context: FsckContext, record: JobRecord): Promise<void> {
  const { directory, lost, batchesAside } = context;
  const { batch, sequence, payloadFile } = record;
  const name = `${batch === null ? encodeJobId(sequence) : encodeBatchId(batch)}.payload`;
  if (batch !== null && batchesAside.has(batch)) return;
  if (batch !== null) batchesAside.add(batch);
  if (payloadFile !== 0) await lost.move(join(directory, payloadName(payloadFile)), name);
  else {
    const bytes = inlineOf(context, record);
    if (bytes !== undefined) await lost.keep(name, Buffer.from(bytes));
  }
}

function dropLinger(context: FsckContext, record: JobRecord): void {
  const { journal } = context;
  const { sequence, payloadFile } = record;
  for (const key of journal.linger.getKeys({})) if (key[1] === sequence) journal.linger.remove(key);
  if (payloadFile === 0) journal.payloads.remove(sequence);
  forgetShared(context, record);
}

/** What is wrong with a payload is so for every job of the batch that needs it, so its entry goes too. */
function forgetShared({ journal }: FsckContext, { batch, sequence }: JobRecord): void {
  if (batch === null) return;
  journal.batches.remove([batch, sequence]);
  journal.batches.remove([batch, 0]);
}

function failJob(context: FsckContext, record: JobRecord, message: string): () => void {
  const { journal, nowMs } = context;
  const error = { code: 'payload_lost', message, retryable: ERRORS.payload_lost.retryable } as const;
  const putJob = prepareJob(journal, record, {
    ...record,
    state: 'failed',
    finishedAt: record.finishedAt ?? nowMs,
    updatedAt: nowMs,
    nextAttemptAt: null,
    error,
    payloadFile: 0,
  });
  return () => {
    putJob();
    journal.payloads.remove(record.sequence);
    forgetShared(context, record);
  };
}
