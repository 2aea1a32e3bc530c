/**
 * Takes jobs in: a record and what belongs to it in one commit, and for an upload with several destinations the records of
 * all of them. It promises that after a crash either all of them are there or none is, and that an Idempotency-Key leads to
 * one upload however often it is sent.
 */
import { trace } from '../base/trace.ts';
import { laneOf } from '../protocol/job.ts';
import { createRecord } from './create-record.ts';
import { isDiskLow } from './disk-space.ts';
import type { JobRecord } from './job-record.ts';
import { prepareJob } from './job-tables.ts';
import type { Journal } from './journal.ts';
import type { LiveIndex } from './live-index.ts';
import { encodeNumbers } from './number-codec.ts';
import type { PayloadKeeper } from './payload-keeper.ts';
import type { RecentRecords } from './recent-records.ts';
import type { Draft } from './spool.ts';

/** What an upload brought: a file of the spool, or `inline` bytes, which are then kept in the journal. */
export type Payload = {
  readonly size: number;
  readonly payloadFile: number;
  readonly inline: Buffer | undefined;
};

export type IntakeParts = {
  readonly journal: Journal;
  readonly live: LiveIndex;
  readonly payloads: PayloadKeeper;
  readonly recent: RecentRecords;
  readonly nowMs: () => number;
  readonly nextNumber: () => number;
  readonly maxAttempts: number;
  /** The job that was accepted under an Idempotency-Key. */
  readonly readByKey: (key: string) => JobRecord | undefined;
};

/** What lmdb writes at most for each further job of a batch, its paths aside: they are neighbours in every table. */
const NEIGHBOUR_BYTES = 6 << 10;

export class Intake {
  readonly #parts: IntakeParts;
  readonly #accepting = new Map<string, Promise<JobRecord>>();

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /** Resolves to the job, of a batch to its first one, or to what was accepted under the same key before. */
  async accept(draft: Draft, payload: Payload): Promise<JobRecord> {
    const { idempotencyKey } = draft;
    if (idempotencyKey === null) return this.#commit(draft, payload);
    const other = this.find(idempotencyKey);
    if (other !== undefined) return other;
    const accepting = this.#commit(draft, payload);
    this.#accepting.set(idempotencyKey, accepting);
    try {
      return await accepting;
    } finally {
      this.#accepting.delete(idempotencyKey);
    }
  }

  /** The job that was accepted, or is just being accepted, under an idempotency key. */
  find(key: string): JobRecord | Promise<JobRecord> | undefined {
    return this.#accepting.get(key) ?? this.#parts.readByKey(key);
  }

  async #commit(draft: Draft, payload: Payload): Promise<JobRecord> {
    try {
      return await this.#commitOnce(draft, payload);
    } catch (error) {
      if (!isDiskLow(error) || !(await this.#parts.payloads.makeRoom())) throw error;
      // With numbers of its own: later jobs may have been accepted meanwhile, and numbers are the order.
      return this.#commitOnce(draft, payload);
    }
  }

  async #commitOnce(draft: Draft, payload: Payload): Promise<JobRecord> {
    if (draft.batch !== undefined) return this.#commitBatch(draft, draft.batch.destinations, payload);
    const { journal, live, recent } = this.#parts;
    const { inline } = payload;
    const record = this.#create(draft, payload);
    const { sequence } = record;
    const putJob = prepareJob(journal, undefined, record);
    trace('before-commit', sequence);
    await journal.write(
      () => {
        putJob();
        if (inline !== undefined) journal.payloads.put(sequence, inline);
        if (draft.idempotencyKey !== null) journal.keys.put(draft.idempotencyKey, encodeNumbers(sequence));
      },
      { client: true, bytes: inline?.length ?? 0 },
    );
    trace('after-commit', sequence);
    recent.set(record);
    live.add(laneOf(record), sequence);
    return record;
  }

  /** The numbers are given out at once, so that no other job stands between those of a batch. */
  async #commitBatch(
    { idempotencyKey, batch, ...draft }: Draft,
    destinations: NonNullable<Draft['batch']>['destinations'],
    payload: Payload,
  ): Promise<JobRecord> {
    const { journal, live, payloads, recent } = this.#parts;
    const records: JobRecord[] = [];
    for (const destination of destinations) {
      const [first] = records;
      // The key leads to the first job alone, and what was asked for is known by that one.
      const own = first === undefined ? { idempotencyKey, batch } : { idempotencyKey: null };
      records.push(this.#create({ ...draft, ...destination, ...own }, payload, first?.sequence));
    }
    const [first] = records;
    if (first === undefined) throw new Error('A batch has no destination');
    const putJobs = records.map((record) => prepareJob(journal, undefined, record));
    const putShared = payloads.shared.prepare(records, payload);
    const pathBytes = records.reduce((sum, { path, sourceName }) => sum + path.length + sourceName.length, 0);
    trace('before-commit', first.sequence);
    await journal.write(
      () => {
        for (const putJob of putJobs) putJob();
        putShared();
        if (idempotencyKey !== null) journal.keys.put(idempotencyKey, encodeNumbers(first.sequence));
      },
      { bytes: (payload.inline?.length ?? 0) + records.length * NEIGHBOUR_BYTES + 6 * pathBytes },
    );
    trace('after-commit', first.sequence);
    payloads.shared.accepted(records);
    for (const record of records) {
      recent.set(record);
      live.add(laneOf(record), record.sequence);
    }
    return first;
  }

  /** `batch`: the number of the batch that the job joins. */
  #create(draft: Draft, { size, payloadFile }: Payload, batch?: number): JobRecord {
    const { nextNumber, nowMs, maxAttempts } = this.#parts;
    const about = { sequence: nextNumber(), nowMs: nowMs(), size, payloadFile, maxAttempts };
    return createRecord(draft, { ...about, batch });
  }
}
