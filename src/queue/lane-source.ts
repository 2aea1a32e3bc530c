import { pathKeys } from '../protocol/path-key.ts';
import type { JobRecord } from '../spool/job-record.ts';
import type { LiveIndex } from '../spool/live-index.ts';
import { INLINE_LIMIT_BYTES } from '../spool/spool.ts';
import type { LaneSource } from './lane.ts';

/** A lane's jobs, out of the spool. `read` gives the record of an unfinished job. */
export function createLaneSource(
  lane: string,
  about: {
    readonly live: LiveIndex;
    readonly read: (sequence: number) => JobRecord | undefined;
    readonly onDeferred: (sequence: number, dueMs: number) => void;
    readonly nowMs: () => number;
    /** What a job may have to wait at most. */
    readonly mostDelayMs: number;
  },
): LaneSource {
  return {
    after: (sequence) => about.live.lane(lane)?.after(sequence),
    pull: (sequence) => {
      const record = about.read(sequence);
      if (record === undefined) return undefined;
      const small = record.payloadFile === 0 && record.size <= INLINE_LIMIT_BYTES;
      const barrier = record.extract !== null;
      const keys = pathKeys(record);
      // Its time was noted by the clock of an earlier run, which may have been far ahead.
      const notBeforeMs = Math.min(record.nextAttemptAt ?? 0, about.nowMs() + about.mostDelayMs);
      return { sequence, keys, small: small && !barrier, barrier, notBeforeMs };
    },
    onDeferred: about.onDeferred,
  };
}
