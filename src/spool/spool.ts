/**
 * The spool: journal and payload files as one thing, the only owner of the state directory. It promises that a job it
 * has accepted survives: the promise of `accept…` resolves only when payload and record are on stable storage. After
 * a crash it holds exactly the jobs that were accepted; what was half received is removed at the next start.
 */
import { join } from 'node:path';
import { CodedError } from '../errors.ts';
import { type JobDestination, laneOf } from '../protocol/job.ts';
import { encodeJobId, nextSequence } from '../protocol/job-id.ts';
import { readBatch } from './batch-records.ts';
import { DiskSpace, diskError } from './disk-space.ts';
import { Intake } from './intake.ts';
import { type ArchiveFacts, decodeJobRecord, type JobRecord } from './job-record.ts';
import { countFinished, type FinishedState, finishedState, prepareJob } from './job-tables.ts';
import type { Journal } from './journal.ts';
import { LiveIndex } from './live-index.ts';
import { decodeNumber, encodeNumbers } from './number-codec.ts';
import { PayloadKeeper } from './payload-keeper.ts';
import { PayloadWriter } from './payload-writer.ts';
import { RecentRecords } from './recent-records.ts';
import { failedFiles, payloadName, readLastNumber, recoverLive, removeOrphans } from './recovery.ts';
import { redeliverLingering } from './redelivery.ts';
import { noteBoot, noteEnd, noteStart } from './run-note.ts';
import { openStateDirectory, type StateDirectory } from './state-directory.ts';
import { Temporaries } from './temporaries.ts';
import { TreeIndex } from './tree-index.ts';
import { Unsettled } from './unsettled.ts';

/** Payloads up to this size are kept in the journal, in the same commit as their job. */
export const INLINE_LIMIT_BYTES = 64 * 1024;

/** Records kept decoded; most jobs pass through while theirs is among them. */
const RECENT_RECORDS = 2048;

export type SpoolOptions = {
  readonly stateDir: string;
  readonly minFreeSpaceBytes: number;
  readonly maxAttempts: number;
  /** How long a delivered payload is kept (see `PayloadKeeper`). */
  readonly lingerMs: number;
  /** Changes when the machine starts anew. */
  readonly bootId: string;
  readonly nowMs: () => number;
  /** The storage fails for good; the process has to end. */
  readonly onBroken: (error: Error) => void;
};

type Sender = { readonly submittedBy: string | null; readonly idempotencyKey: string | null };

/** Several destinations of one upload; the draft's own is the first of them. */
export type BatchDraft = {
  readonly destinations: readonly Pick<JobDestination, 'instance' | 'path' | 'sourceName'>[];
  /** What was asked for, as a digest: the same again under the same idempotency key is answered with the same batch. */
  readonly request: string;
};

/** What a sender asks for. */
export type Draft = Partial<ArchiveFacts> &
  JobDestination &
  Sender & { readonly sha256: string | null; readonly batch?: BatchDraft | undefined };

export type Upload = {
  readonly number: number;
  readonly writer: PayloadWriter;
  readonly named: Promise<void>;
};

type RecordDetails = {
  readonly deliveredKey?: number;
  readonly placedKeys?: readonly number[];
  readonly removed?: readonly string[];
};

type Start = { readonly run: number; readonly afterPowerCut: boolean };

export class Spool {
  readonly live = new LiveIndex();
  readonly journal: Journal;
  readonly disk: DiskSpace;
  readonly payloads: PayloadKeeper;
  readonly temporaries: Temporaries;
  readonly trees: TreeIndex;
  readonly unsettled = new Unsettled();
  readonly nowMs: () => number;
  /** One more at every start; with it names are unique over all runs. */
  readonly run: number;
  /** Whether the machine was started anew without this daemon having been stopped in order. */
  readonly afterPowerCut: boolean;
  /** Jobs that were delivered just before a power cut and are queued again, by sequence. */
  redelivered: readonly number[] = [];
  readonly #state: StateDirectory;
  readonly #recent = new RecentRecords(RECENT_RECORDS);
  readonly #intake: Intake;
  #lastNumber = 0;

  private constructor(options: SpoolOptions, state: StateDirectory, start: Start) {
    const { journal, payloads } = state;
    this.#state = state;
    this.journal = journal;
    this.nowMs = options.nowMs;
    this.run = start.run;
    this.afterPowerCut = start.afterPowerCut;
    this.payloads = new PayloadKeeper(journal, payloads, options);
    this.disk = new DiskSpace(payloads, options.minFreeSpaceBytes, options.nowMs, this.payloads);
    this.temporaries = new Temporaries(journal);
    this.trees = new TreeIndex(journal);
    this.#intake = new Intake({
      ...{ journal, live: this.live, payloads: this.payloads, recent: this.#recent, nowMs: options.nowMs },
      maxAttempts: options.maxAttempts,
      nextNumber: () => this.#nextNumber(),
      readByKey: (key) => this.#readByKey(key),
    });
  }

  /** Takes the state directory and recovers; `config_invalid` when another daemon has it. */
  static async open(options: SpoolOptions): Promise<Spool> {
    const { stateDir, bootId, onBroken } = options;
    const state = await openStateDirectory(stateDir, onBroken);
    try {
      const start = await noteStart(state.journal, state.ballast, bootId);
      const spool = new Spool(options, state, start);
      await spool.#recover();
      if (spool.afterPowerCut) spool.redelivered = await redeliverLingering(spool);
      await noteBoot(state.journal, state.ballast, bootId);
      return spool;
    } catch (error) {
      await state.close();
      throw error;
    }
  }

  /** The last number that was given to a job or to a payload file; both count together. */
  get lastNumber(): number {
    return this.#lastNumber;
  }

  /** Starts a payload file for an upload that is too large, or of unknown size; `disk_low` on a full disk. */
  async openUpload(expectedBytes = 0): Promise<Upload> {
    const { payloads, names } = this.#state;
    const number = this.#nextNumber();
    const path = join(payloads, payloadName(number));
    try {
      const writer = await PayloadWriter.open(path, () => this.payloads.makeRoom(), expectedBytes);
      const named = names.sync().catch((error: unknown) => Promise.reject(diskError(error)));
      // Whoever accepts the upload awaits it; until then a failure must not count as unhandled.
      named.catch(() => undefined);
      return { number, writer, named };
    } catch (error) {
      throw diskError(error);
    }
  }

  /** Keeps a small payload and its job, or all jobs of its batch, in one commit. `bytes` must not be changed afterwards. */
  acceptInline(draft: Draft, bytes: Buffer): Promise<JobRecord> {
    return this.#intake.accept(draft, { size: bytes.length, payloadFile: 0, inline: bytes });
  }

  /** Keeps the job of a payload file whose writer has finished, or all jobs of its batch. */
  async acceptFile(draft: Draft, upload: Upload): Promise<JobRecord> {
    await upload.named;
    const { number, writer } = upload;
    return this.#intake.accept(draft, { size: writer.writtenBytes, payloadFile: number, inline: undefined });
  }

  /** The job that was accepted, or is just being accepted, under an idempotency key. */
  findByKey(key: string): JobRecord | Promise<JobRecord> | undefined {
    return this.#intake.find(key);
  }

  /** The record as last committed. */
  read(sequence: number): JobRecord | undefined {
    const recent = this.#recent.get(sequence);
    if (recent !== undefined) return recent;
    const bytes = this.journal.jobs.get(sequence);
    if (bytes === undefined) return undefined;
    const record = decodeJobRecord(sequence, bytes);
    this.#recent.set(record);
    return record;
  }

  /** The jobs of a batch that there still are, in the order of their destinations. */
  readBatch(batch: number): JobRecord[] {
    return readBatch(this.journal, batch, (sequence) => this.read(sequence));
  }

  /** All jobs that were accepted with this one: those of its batch, or it alone. */
  readUpload(record: JobRecord): readonly JobRecord[] {
    return record.batch === null ? [record] : this.readBatch(record.batch);
  }

  /** Whether a job accepted after `sequence` was already delivered to one of the files of these keys. */
  isOvertaken(keys: readonly number[], sequence: number): boolean {
    const isPathOvertaken = keys.some((key) => {
      const value = this.journal.paths.get(key);
      const latest = value === undefined ? 0 : decodeNumber(value);
      return Math.max(latest, this.unsettled.deliveredTo(key)) > sequence;
    });
    return isPathOvertaken || this.trees.hasLater(keys, sequence);
  }

  /**
   * Records that a job is now `next`; resolves once that is on stable storage. `deliveredKey` is the path key of the
   * file that was delivered, `placedKeys` those of an archive that were put into place. The temporary files listed in `removed` are known to be gone. `not_found` when the
   * retention is just removing the job.
   */
  async record(previous: JobRecord, next: JobRecord, about: RecordDetails = {}): Promise<void> {
    const { journal, live, payloads, temporaries, trees, unsettled } = this;
    const { sequence } = next;
    const { deliveredKey, removed = [], placedKeys = [] } = about;
    if (unsettled.isForgetting(sequence))
      throw new CodedError('not_found', `There is no job ${encodeJobId(sequence)}`);
    const finished = finishedState(next);
    const drops = finished === 'delivered' || finished === 'cancelled';
    const putJob = prepareJob(journal, previous, next);
    const tree = placedKeys.length === 0 ? undefined : trees.prepare(sequence, placedKeys);
    unsettled.recording(sequence, deliveredKey);
    try {
      await journal.write(
        () => {
          putJob();
          temporaries.removeIn(sequence, removed);
          if (deliveredKey !== undefined) journal.paths.put(deliveredKey, encodeNumbers(sequence));
          if (tree !== undefined) journal.trees.put(sequence, tree);
          if (drops) payloads.dropIn(next);
        },
        { must: true, lazy: true, bytes: tree?.length ?? 0 },
      );
      this.#recent.set(next);
    } finally {
      unsettled.recorded(sequence, deliveredKey);
      trees.settled(sequence);
    }
    temporaries.removed(sequence, removed);
    if (finished !== undefined) {
      live.delete(laneOf(next), sequence);
      temporaries.strand(sequence);
    } else {
      live.add(laneOf(next), sequence);
      if (next.state === 'deferred') live.deferred.add(sequence);
      else live.deferred.delete(sequence);
    }
    if (drops) await payloads.dropped(next);
  }

  /** The jobs' records have been removed from the journal. */
  forget(sequences: readonly number[]): void {
    for (const sequence of sequences) this.#recent.delete(sequence);
  }

  /** Finished jobs by state. */
  countFinished(): Record<FinishedState, number> {
    return countFinished(this.journal);
  }

  /** Writes everything down and lets go of the state directory. */
  async close(): Promise<void> {
    try {
      await this.payloads.stop();
      await noteEnd(this.journal);
    } finally {
      await this.#state.close();
    }
  }

  #readByKey(key: string): JobRecord | undefined {
    const value = this.journal.keys.get(key);
    return value === undefined ? undefined : this.read(decodeNumber(value));
  }

  /** Also after the clock was set back a number is never given out twice. */
  #nextNumber(): number {
    this.#lastNumber = nextSequence(this.#lastNumber, this.nowMs());
    return this.#lastNumber;
  }

  async #recover(): Promise<void> {
    const { journal, live, payloads } = this;
    const files = recoverLive(journal, live);
    for (const file of await payloads.recover()) files.add(file);
    for (const file of failedFiles(journal)) files.add(file);
    const largestFile = await removeOrphans(this.#state.payloads, files);
    this.#lastNumber = Math.max(readLastNumber(journal), largestFile);
  }
}
