/**
 * The check of a state directory while no daemon uses it: journal against payload files. It only reads unless it is
 * told to repair, but for the journal's log, which goes into its tables as at every start. A repair never deletes what
 * was accepted: what cannot be used is moved to STATE_DIR/lost+found first, and the journal forgets it in a later commit,
 * so that a crash in between only leaves work for the next run.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError, messageOf } from '../errors.ts';
import { Ballast } from './ballast.ts';
import { checkBatches } from './fsck-batches.ts';
import type { Finding, FsckContext } from './fsck-finding.ts';
import { checkOrphans, checkPayload } from './fsck-payloads.ts';
import { checkRecords } from './fsck-records.ts';
import { checkTables } from './fsck-tables.ts';
import { decodeJobRecord, type JobRecord } from './job-record.ts';
import { Journal } from './journal.ts';
import { LostAndFound } from './lost-and-found.ts';
import { encodeNumbers } from './number-codec.ts';
import { takeOwnership } from './owner.ts';
import { readLastNumber } from './recovery.ts';

export type FsckOptions = {
  readonly stateDir: string;
  readonly repair: boolean;
  readonly nowMs: number;
  /** Called for each finding once it is repaired, or at once when it is not to be. */
  readonly onFinding: (finding: Finding, repaired: boolean) => void;
};

export type FsckSummary = {
  readonly jobs: number;
  readonly payloadFiles: number;
  readonly findings: number;
  readonly repaired: number;
};

const BATCH = 200;
/** What lmdb writes at most for one finding. */
const FINDING_BYTES = 32 << 10;

/** `config_invalid` when there is no spool in the directory, or a daemon uses it. */
export async function checkSpool(options: FsckOptions): Promise<FsckSummary> {
  const { stateDir, repair, onFinding } = options;
  if (!existsSync(join(stateDir, 'journal', 'data.mdb')))
    throw new CodedError('config_invalid', `There is no spool in ${stateDir}; see --state-dir`);
  const release = await takeOwnership(stateDir);
  try {
    const journal = await openJournal(stateDir);
    try {
      const context = createContext(journal, stateDir, options.nowMs);
      const counts = { jobs: 0, payloadFiles: 0 };
      const findings = await collect(context, counts);
      if (repair) await repairAll(journal, findings);
      for (const finding of findings) onFinding(finding, repair);
      return { ...counts, findings: findings.length, repaired: repair ? findings.length : 0 };
    } finally {
      await journal.close();
    }
  } finally {
    await release();
  }
}

async function openJournal(stateDir: string): Promise<Journal> {
  const directory = join(stateDir, 'journal');
  try {
    return await Journal.open(directory, {
      ballast: new Ballast(stateDir),
      log: false,
      onBroken: () => undefined,
    });
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    throw new CodedError('internal', `Cannot open the journal in ${directory}: ${messageOf(cause)}`, {
      cause,
    });
  }
}

function createContext(journal: Journal, stateDir: string, nowMs: number): FsckContext {
  const lingering = new Set<number>();
  for (const [, sequence] of journal.linger.getKeys({})) lingering.add(sequence);
  return {
    journal,
    directory: join(stateDir, 'payloads'),
    lost: new LostAndFound(stateDir),
    nowMs,
    read: (sequence) => readRecord(journal, sequence),
    lingering,
    knownFiles: new Set(),
    rewritten: new Set(),
    batchOf: readBatchOf(journal),
    neededBatches: new Set(),
    rewrittenBatches: new Set(),
    digests: new Map(),
    batchesAside: new Set(),
  };
}

function readBatchOf(journal: Journal): ReadonlyMap<number, number> {
  const batchOf = new Map<number, number>();
  for (const [batch, sequence] of journal.batches.getKeys({}))
    if (sequence !== 0) batchOf.set(sequence, batch);
  return batchOf;
}

/** Findings in the order in which they have to be repaired. */
async function collect(
  context: FsckContext,
  counts: { jobs: number; payloadFiles: number },
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const sequences: number[] = [];
  for (const finding of checkRecords(context, ({ sequence }) => void sequences.push(sequence))) {
    if (finding.kind === 'unreadable_record') counts.jobs += 1;
    findings.push(finding);
  }
  counts.jobs += sequences.length;
  findings.push(...checkTables(context), ...checkBatches(context));
  for (const sequence of sequences) {
    const record = context.read(sequence);
    const finding = typeof record === 'object' ? await checkPayload(context, record) : undefined;
    if (finding !== undefined) findings.push(finding);
  }
  const count = (): void => {
    counts.payloadFiles += 1;
  };
  for await (const finding of checkOrphans(context, count)) findings.push(finding);
  return findings;
}

async function repairAll(journal: Journal, findings: readonly Finding[]): Promise<void> {
  const last = readLastNumber(journal);
  for (let i = 0; i < findings.length; i += BATCH) {
    const batch = findings.slice(i, i + BATCH);
    for (const { putAside } of batch) await putAside?.();
    await journal.write(
      () => {
        journal.meta.put('last', encodeNumbers(last));
        for (const { fill } of batch) fill?.();
      },
      { bytes: batch.length * FINDING_BYTES },
    );
  }
}

function readRecord(journal: Journal, sequence: number): JobRecord | 'missing' | 'unreadable' {
  const bytes = journal.jobs.get(sequence);
  if (bytes === undefined) return 'missing';
  try {
    return decodeJobRecord(sequence, bytes);
  } catch {
    return 'unreadable';
  }
}
