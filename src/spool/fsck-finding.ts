import type { JobRecord } from './job-record.ts';
import type { Journal } from './journal.ts';
import type { LostAndFound } from './lost-and-found.ts';

export type FindingKind =
  | 'unreadable_record'
  | 'live_entry'
  | 'finished_entry'
  | 'instance_entry'
  | 'path_entry'
  | 'key_entry'
  | 'linger_entry'
  | 'batch_entry'
  | 'payload_missing'
  | 'payload_damaged'
  | 'orphan_payload'
  | 'unknown_file';

/** Something that journal and payload files disagree on. */
export type Finding = {
  readonly kind: FindingKind;
  /** Id of the job it is about, or null. */
  readonly job: string | null;
  /** What is wrong, for people. */
  readonly message: string;
  /** What the repair does, in words. */
  readonly remedy: string;
  /** Puts aside what the commit is going to forget; runs before it. */
  readonly putAside?: () => Promise<unknown>;
  /** Part of a commit. */
  readonly fill?: () => void;
};

/** What the checks work on. */
export type FsckContext = {
  readonly journal: Journal;
  /** Where payload files are. */
  readonly directory: string;
  readonly lost: LostAndFound;
  readonly nowMs: number;
  /** The record, or why there is none. */
  readonly read: (sequence: number) => JobRecord | 'missing' | 'unreadable';
  /** Delivered jobs whose payload is still kept. */
  readonly lingering: ReadonlySet<number>;
  /** Payload files that records or their entries name; filled by the check of the records. */
  readonly knownFiles: Set<number>;
  /** Keys of `keys` and `paths` that the repair of a record writes anew, so that nothing else may touch them. */
  readonly rewritten: Set<string | number>;
  /** The batch of each job that the journal says needs its payload. */
  readonly batchOf: ReadonlyMap<number, number>;
  /** Batches whose payload a job needs; filled by the check of the records. */
  readonly neededBatches: Set<number>;
  /** Batches whose entry the repair writes anew. */
  readonly rewrittenBatches: Set<number>;
  /** SHA-256 of payload files that were read, by their numbers. */
  readonly digests: Map<number, string>;
  /** Batches whose payload has been put aside. */
  readonly batchesAside: Set<number>;
};
