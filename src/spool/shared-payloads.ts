/**
 * The payloads of batches: kept once, for as long as one of the jobs needs them. The journal's table `batches` is the truth:
 * [batch, 0] tells the payload's file and size, and holds a payload that is small; [batch, sequence] stands there while that
 * job needs it. An entry goes in the commit that ends the need. The payload goes after the commit that took the last one,
 * never before; a crash in between leaves a payload without jobs, which the next start removes.
 */
import type { JobRecord } from './job-record.ts';
import type { Journal } from './journal.ts';
import { decodeNumber, encodeNumbers } from './number-codec.ts';

type Shared = {
  readonly payloadFile: number;
  readonly fileBytes: number;
  /** Jobs that still are to deliver it, or may be told to. */
  readonly needing: Set<number>;
  /** Jobs that have delivered it and keep it for a while. */
  readonly lingering: Set<number>;
  /** Whether its bytes count as reclaimable. */
  onlyLingers: boolean;
};

/** Payload file and its size; a small payload follows. */
export const HEAD_BYTES = 16;
const NOTHING = Buffer.alloc(0);

export class SharedPayloads {
  readonly #journal: Journal;
  readonly #batches = new Map<number, Shared>();
  /** The batch of each job that needs its payload. */
  readonly #batchOf = new Map<number, number>();
  #reclaimableBytes = 0;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Bytes of files that only linger. */
  get reclaimableBytes(): number {
    return this.#reclaimableBytes;
  }

  /** What the commit puts that accepts the jobs of a batch; the first one gives it its number. */
  prepare(
    records: readonly JobRecord[],
    { payloadFile, size, inline }: { payloadFile: number; size: number; inline: Buffer | undefined },
  ): () => void {
    const batch = records[0]?.sequence ?? 0;
    const head = Buffer.concat([encodeNumbers(payloadFile, size), inline ?? NOTHING]);
    return () => {
      this.#journal.batches.put([batch, 0], head);
      for (const { sequence } of records) this.#journal.batches.put([batch, sequence], NOTHING);
    };
  }

  /** After that commit. */
  accepted(records: readonly JobRecord[]): void {
    const [first] = records;
    if (first === undefined) return;
    const { sequence: batch, payloadFile, size } = first;
    const fileBytes = payloadFile === 0 ? 0 : size;
    const needing = new Set(records.map(({ sequence }) => sequence));
    this.#batches.set(batch, { payloadFile, fileBytes, needing, lingering: new Set(), onlyLingers: false });
    for (const sequence of needing) this.#batchOf.set(sequence, batch);
  }

  /** The small payload of a batch; undefined when the journal has none. */
  read(batch: number): Buffer | undefined {
    return this.#journal.batches.get([batch, 0])?.subarray(HEAD_BYTES);
  }

  /** Whether the job shares its payload, and still needs it. */
  has(sequence: number): boolean {
    return this.#batchOf.has(sequence);
  }

  /** Part of a commit: the job needs its payload no more. */
  leaveIn(sequence: number): void {
    const batch = this.#batchOf.get(sequence);
    if (batch !== undefined) this.#journal.batches.remove([batch, sequence]);
  }

  /** After that commit. When nobody else needs the payload it goes; returns its file if that is to be removed, else 0. */
  left(sequence: number): number {
    const batch = this.#batchOf.get(sequence);
    if (batch === undefined) return 0;
    this.#batchOf.delete(sequence);
    const shared = this.#batches.get(batch);
    shared?.needing.delete(sequence);
    shared?.lingering.delete(sequence);
    this.#count(shared);
    if (shared === undefined || shared.needing.size + shared.lingering.size > 0) return 0;
    this.#batches.delete(batch);
    // What cannot be written now, because the disk is full say, is removed at the next start.
    this.#journal.write(() => this.#journal.batches.remove([batch, 0]), { lazy: true }).catch(() => {});
    return shared.payloadFile;
  }

  /** The job has delivered the payload and keeps it for a while. */
  lingers(sequence: number): void {
    const shared = this.#sharedOf(sequence);
    if (shared?.needing.delete(sequence) === true) shared.lingering.add(sequence);
    this.#count(shared);
  }

  /** The job that kept it is queued again. */
  needs(sequence: number): void {
    const shared = this.#sharedOf(sequence);
    if (shared?.lingering.delete(sequence) === true) shared.needing.add(sequence);
    this.#count(shared);
  }

  /** Reads the table at the start; `lingering` are delivered jobs that keep their payloads. */
  async recover(lingering: ReadonlySet<number>): Promise<void> {
    const { batches } = this.#journal;
    const left: number[] = [];
    for (const [batch, sequence] of batches.getKeys({})) {
      if (sequence === 0) {
        const head = batches.get([batch, 0]);
        if (head === undefined || head.length < HEAD_BYTES) continue;
        const payloadFile = decodeNumber(head);
        const fileBytes = payloadFile === 0 ? 0 : decodeNumber(head, 1);
        const nobody = { needing: new Set<number>(), lingering: new Set<number>(), onlyLingers: false };
        this.#batches.set(batch, { payloadFile, fileBytes, ...nobody });
        continue;
      }
      const shared = this.#batches.get(batch);
      if (shared === undefined) continue;
      this.#batchOf.set(sequence, batch);
      (lingering.has(sequence) ? shared.lingering : shared.needing).add(sequence);
    }
    for (const [batch, shared] of this.#batches) {
      if (shared.needing.size + shared.lingering.size === 0) left.push(batch);
      this.#count(shared);
    }
    for (const batch of left) this.#batches.delete(batch);
    if (left.length === 0) return;
    await this.#journal
      .write(
        () => {
          for (const batch of left) batches.remove([batch, 0]);
        },
        { lazy: true },
      )
      .catch(() => {});
  }

  /** To be called after every change of who needs it. */
  #count(shared: Shared | undefined): void {
    if (shared === undefined) return;
    const onlyLingers = shared.needing.size === 0 && shared.lingering.size > 0;
    if (onlyLingers === shared.onlyLingers) return;
    shared.onlyLingers = onlyLingers;
    this.#reclaimableBytes += onlyLingers ? shared.fileBytes : -shared.fileBytes;
  }

  #sharedOf(sequence: number): Shared | undefined {
    const batch = this.#batchOf.get(sequence);
    return batch === undefined ? undefined : this.#batches.get(batch);
  }
}
