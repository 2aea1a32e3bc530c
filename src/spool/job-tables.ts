/**
 * Which tables a job stands in besides `jobs`: an unfinished one in `live`; a finished one in the table of its state and
 * in `instances`. Every change of a record goes through here, so that record and tables change in one commit.
 */
import { laneOf } from '../protocol/job.ts';
import { encodeJobRecord, type JobRecord } from './job-record.ts';
import type { Journal } from './journal.ts';
import { encodeLive } from './live-entry.ts';
import { encodeNumbers } from './number-codec.ts';

export type FinishedState = 'delivered' | 'failed' | 'cancelled';

export const FINISHED_STATES: readonly FinishedState[] = ['delivered', 'failed', 'cancelled'];

const NOTHING = Buffer.alloc(0);

/** The table of a finished job's state; undefined while it is unfinished. */
export function finishedState({ state }: JobRecord): FinishedState | undefined {
  return state === 'delivered' || state === 'failed' || state === 'cancelled' ? state : undefined;
}

/** Value of `live` for an unfinished job. */
export function liveValue(record: JobRecord): Buffer {
  return encodeLive({
    notBeforeMs: record.nextAttemptAt ?? 0,
    payloadFile: record.payloadFile,
    lane: laneOf(record),
  });
}

/** Value of a finished job in the table of its state: when it finished, and its payload file. */
export function finishedValue(record: JobRecord): Buffer {
  return encodeNumbers(record.finishedAt ?? 0, record.payloadFile);
}

/**
 * What to do in a commit when the job is now `next`, and was `previous` unless it is new. All that costs time is done
 * here already, while another commit may be under way.
 */
export function prepareJob(journal: Journal, previous: JobRecord | undefined, next: JobRecord): () => void {
  const { sequence, instance, project } = next;
  const record = encodeJobRecord(next);
  const before = previous === undefined ? undefined : finishedState(previous);
  const now = finishedState(next);
  const value = now === undefined ? liveValue(next) : finishedValue(next);
  return () => {
    journal.jobs.put(sequence, record);
    if (before !== undefined) {
      journal[before].remove(sequence);
      journal.instances.remove([instance, project, sequence]);
    }
    if (now === undefined) {
      journal.live.put(sequence, value);
      return;
    }
    if (previous !== undefined && before === undefined) journal.live.remove(sequence);
    journal[now].put(sequence, value);
    journal.instances.put([instance, project, sequence], NOTHING);
  };
}

/** Finished jobs by state. */
export function countFinished({ delivered, failed, cancelled }: Journal): Record<FinishedState, number> {
  return { delivered: delivered.count(), failed: failed.count(), cancelled: cancelled.count() };
}
