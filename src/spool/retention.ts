/** Removes what is kept of jobs that finished long ago: record, indexes, and the payload of a failed one. */
import { keyOfPath } from '../protocol/path-key.ts';
import type { JobRecord } from './job-record.ts';
import { FINISHED_STATES, type FinishedState } from './job-tables.ts';
import { decodeNumber, encodeNumbers } from './number-codec.ts';
import type { Spool } from './spool.ts';

const BATCH = 200;
/** What lmdb writes at most to remove a job from all its tables. */
const JOB_BYTES = 24 << 10;
/** More than sequences run ahead of a clock that was never set back. */
const CLOCK_SLACK_MS = 60_000;

/**
 * Forgets jobs that finished before `finishedBeforeMs`; resolves to how many. Stops early when `stopped` says so. A
 * record that cannot be read stays, for `incus-uploadd fsck`.
 */
export async function forgetOldJobs(
  spool: Spool,
  finishedBeforeMs: number,
  stopped: () => boolean,
): Promise<number> {
  let forgotten = 0;
  // A job cannot have finished before it was accepted, so only sequences from before that time need a look: unless
  // the clock was set back, and sequences count on from a time to come.
  const clockWasSetBack = spool.lastNumber > (spool.nowMs() + CLOCK_SLACK_MS) * 1000;
  const end = clockWasSetBack ? Number.MAX_SAFE_INTEGER : finishedBeforeMs * 1000;
  for (const state of FINISHED_STATES) {
    let start = 0;
    while (!stopped()) {
      const old: number[] = [];
      let looked = 0;
      for (const { key, value } of spool.journal[state].getRange({ start, end, limit: BATCH })) {
        looked += 1;
        start = key + 1;
        if (decodeNumber(value) < finishedBeforeMs) old.push(key);
      }
      if (looked === 0) break;
      if (old.length > 0) forgotten += await forget(spool, state, old);
    }
  }
  return forgotten;
}

async function forget(spool: Spool, state: FinishedState, old: readonly number[]): Promise<number> {
  const { journal, payloads, unsettled } = spool;
  const records = old
    .filter((sequence) => !unsettled.isRecording(sequence))
    .map((sequence) => readable(spool, sequence))
    .filter((record) => record !== undefined);
  const sequences = records.map((record) => record.sequence);
  unsettled.forgetting(sequences);
  try {
    await journal.write(
      () => {
        // The newest record may be among these: its number must not be given out again should the clock be set back.
        journal.meta.put('last', encodeNumbers(spool.lastNumber));
        for (const record of records) {
          const { sequence } = record;
          journal.jobs.remove(sequence);
          journal[state].remove(sequence);
          if (state === 'failed') payloads.removeIn(record);
          else journal.payloads.remove(sequence);
          if (record.extract !== null) journal.trees.remove(sequence);
          journal.instances.remove([record.instance, record.project, sequence]);
          forgetKey(spool, record);
          forgetPath(spool, record);
        }
      },
      { bytes: records.length * JOB_BYTES },
    );
    if (state === 'failed') for (const record of records) await payloads.remove(record);
  } finally {
    spool.forget(sequences);
    unsettled.forgotten(sequences);
  }
  return records.length;
}

function readable(spool: Spool, sequence: number): JobRecord | undefined {
  try {
    return spool.read(sequence);
  } catch {
    return undefined;
  }
}

function forgetKey({ journal }: Spool, { idempotencyKey, sequence }: JobRecord): void {
  if (idempotencyKey === null) return;
  const value = journal.keys.get(idempotencyKey);
  if (value !== undefined && decodeNumber(value) === sequence) journal.keys.remove(idempotencyKey);
}

/** The latest delivery to a path is remembered only as long as its job. */
function forgetPath({ journal, unsettled }: Spool, record: JobRecord): void {
  if (record.deliveredPath === null) return;
  const key = keyOfPath(record, record.deliveredPath);
  // A newer delivery may stand in this very commit, where reads do not see it.
  if (unsettled.deliveredTo(key) !== 0) return;
  const value = journal.paths.get(key);
  if (value !== undefined && decodeNumber(value) === record.sequence) journal.paths.remove(key);
}
