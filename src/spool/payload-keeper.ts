/**
 * Keeps payloads as long as they may be needed and removes them then: at once when a job is cancelled, and a while (the
 * linger) after it is delivered, because a power cut of the host may still take the file out of the instance's page
 * cache. A payload file is removed only after the commit that says so; a crash in between leaves a file that start-up
 * removes. When the disk is low the linger ends early.
 */
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError, systemCode } from '../errors.ts';
import { encodeJobId } from '../protocol/job-id.ts';
import type { JobRecord } from './job-record.ts';
import type { Journal } from './journal.ts';
import { decodeNumber, encodeNumbers } from './number-codec.ts';
import { createInlinePayload, openPayloadFile, type StoredPayload } from './payload-source.ts';
import { payloadName } from './recovery.ts';
import { SharedPayloads } from './shared-payloads.ts';

/** A delivered payload that is still kept. */
export type Lingering = {
  /** Milliseconds since 1970 at which it may go. */
  readonly untilMs: number;
  readonly sequence: number;
  /** 0 when the payload is in the journal. */
  readonly payloadFile: number;
  /** Bytes of that file. */
  readonly fileBytes: number;
};

const SWEEP_EVERY_MS = 1000;
const SWEEP_BATCH = 200;
/** What lmdb writes at most to remove one entry and its payload. */
const REMOVAL_BYTES = 6 << 10;
/** So long a full disk that somebody saw may be from before room was made. */
const MADE_ROOM_MS = 1000;

export class PayloadKeeper {
  /** Those that the jobs of a batch have in common. */
  readonly shared: SharedPayloads;
  readonly #journal: Journal;
  readonly #directory: string;
  readonly #lingerMs: number;
  readonly #nowMs: () => number;
  #count = 0;
  #fileBytes = 0;
  #madeRoomAtMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<boolean> | undefined;
  #stopped = false;

  constructor(journal: Journal, directory: string, options: { lingerMs: number; nowMs: () => number }) {
    this.shared = new SharedPayloads(journal);
    this.#journal = journal;
    this.#directory = directory;
    this.#lingerMs = options.lingerMs;
    this.#nowMs = options.nowMs;
  }

  /** Bytes of payload files that only linger. */
  get reclaimableBytes(): number {
    return this.#fileBytes + this.shared.reclaimableBytes;
  }

  /** The bytes of a job's payload; `payload_lost` when they are not there in full. */
  async open(record: JobRecord): Promise<StoredPayload> {
    const { sequence, payloadFile, size, batch } = record;
    if (payloadFile !== 0) {
      const path = join(this.#directory, payloadName(payloadFile));
      return openPayloadFile(path, { sequence, size, isShared: batch !== null });
    }
    const bytes = batch === null ? this.#journal.payloads.get(sequence) : this.shared.read(batch);
    if (bytes === undefined || bytes.length !== size) {
      throw new CodedError(
        'payload_lost',
        `The payload of job ${encodeJobId(sequence)} is missing from the journal`,
      );
    }
    return createInlinePayload(bytes);
  }

  /** Part of the commit that ends a job: says what happens to its payload. */
  dropIn(record: JobRecord): void {
    const { sequence, payloadFile } = record;
    if (this.#lingers(record)) {
      const value = encodeNumbers(payloadFile, fileBytesOf(record));
      this.#journal.linger.put([this.#untilMs(record), sequence], value);
    } else if (record.batch !== null) this.shared.leaveIn(sequence);
    else if (payloadFile === 0) this.#journal.payloads.remove(sequence);
  }

  /** After that commit. */
  async dropped(record: JobRecord): Promise<void> {
    if (this.#lingers(record)) {
      this.#count += 1;
      this.#fileBytes += fileBytesOf(record);
      this.shared.lingers(record.sequence);
      this.#schedule();
    } else await this.remove(record);
  }

  /**
   * Removes payloads whose linger is over, or with `all` every lingering one, because the disk is nearly full; resolves
   * to whether a file was removed.
   */
  async sweep(all = false): Promise<boolean> {
    // A sweep under way may have passed by what `all` is to take.
    while (all && this.#sweeping !== undefined) await this.#sweeping;
    this.#sweeping ??= this.#sweep(all).finally(() => {
      this.#sweeping = undefined;
      this.#schedule();
    });
    return this.#sweeping;
  }

  /** Gives up every lingering payload; resolves to whether that made room, now or just before. */
  async makeRoom(): Promise<boolean> {
    if (this.reclaimableBytes > 0 && (await this.sweep(true))) this.#madeRoomAtMs = this.#nowMs();
    return Math.abs(this.#nowMs() - this.#madeRoomAtMs) < MADE_ROOM_MS;
  }

  /** Counts what lingers; resolves to the payload files among it. */
  async recover(): Promise<number[]> {
    const files: number[] = [];
    const lingering = new Set<number>();
    for (const { sequence, payloadFile, fileBytes } of this.lingering()) {
      lingering.add(sequence);
      this.#count += 1;
      this.#fileBytes += fileBytes;
      if (payloadFile !== 0) files.push(payloadFile);
    }
    await this.shared.recover(lingering);
    this.#schedule();
    return files;
  }

  /** Delivered payloads that are still kept, those that go first in front. */
  *lingering(): Iterable<Lingering> {
    for (const { key, value } of this.#journal.linger.getRange()) {
      const [payloadFile, fileBytes] = [decodeNumber(value), decodeNumber(value, 1)];
      yield { untilMs: key[0], sequence: key[1], payloadFile, fileBytes };
    }
  }

  /** Part of a commit: a job that lingered needs its payload again. */
  keepIn({ untilMs, sequence }: Lingering): void {
    this.#journal.linger.remove([untilMs, sequence]);
  }

  /** After that commit. */
  kept({ sequence, fileBytes }: Lingering): void {
    this.#count -= 1;
    this.#fileBytes -= fileBytes;
    this.shared.needs(sequence);
  }

  /** Part of the commit that removes the record of a failed job: its payload goes for good. */
  removeIn({ sequence, batch }: JobRecord): void {
    if (batch === null) this.#journal.payloads.remove(sequence);
    else this.shared.leaveIn(sequence);
  }

  /** After that commit. */
  async remove({ sequence, batch, payloadFile }: JobRecord): Promise<void> {
    const file = batch === null ? payloadFile : this.shared.left(sequence);
    if (file !== 0) await this.#unlink(file);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#sweeping;
  }

  #schedule(): void {
    if (this.#count > 0 && !this.#stopped && this.#sweeping === undefined)
      this.#timer ??= setTimeout(() => void this.sweep(), SWEEP_EVERY_MS).unref();
  }

  async #sweep(all: boolean): Promise<boolean> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const end: [number, number] = [all ? Number.MAX_VALUE : this.#nowMs(), Number.MAX_VALUE];
    let removedFile = false;
    while (!this.#stopped) {
      const due: Lingering[] = [];
      for (const { key, value } of this.#journal.linger.getRange({ end, limit: SWEEP_BATCH })) {
        const [payloadFile, fileBytes] = [decodeNumber(value), decodeNumber(value, 1)];
        due.push({ untilMs: key[0], sequence: key[1], payloadFile, fileBytes });
      }
      if (due.length === 0) break;
      try {
        await this.#journal.write(
          () => {
            for (const { untilMs, sequence, payloadFile } of due) {
              this.#journal.linger.remove([untilMs, sequence]);
              this.shared.leaveIn(sequence);
              if (payloadFile === 0) this.#journal.payloads.remove(sequence);
            }
          },
          // To make room is what gets a full disk going again, so it may use the ballast.
          { must: all, bytes: due.length * REMOVAL_BYTES },
        );
      } catch {
        // The disk may be full; the next sweep tries again.
        break;
      }
      this.#count -= due.length;
      for (const { sequence, payloadFile, fileBytes } of due) {
        const file = this.shared.has(sequence) ? this.shared.left(sequence) : payloadFile;
        if (file === 0) continue;
        await this.#unlink(file);
        this.#fileBytes -= fileBytes;
        removedFile = true;
      }
    }
    return removedFile;
  }

  #lingers(record: JobRecord): boolean {
    return record.state === 'delivered' && this.#lingerMs > 0;
  }

  #untilMs(record: JobRecord): number {
    return (record.finishedAt ?? 0) + this.#lingerMs;
  }

  async #unlink(payloadFile: number): Promise<void> {
    try {
      await unlink(join(this.#directory, payloadName(payloadFile)));
    } catch (error) {
      // What cannot be removed now is removed at the next start.
      if (systemCode(error) === undefined) throw error;
    }
  }
}

/** What a job's file takes by itself; that of a batch is counted by `SharedPayloads`. */
function fileBytesOf({ payloadFile, batch, size }: JobRecord): number {
  return payloadFile === 0 || batch !== null ? 0 : size;
}
