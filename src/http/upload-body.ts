/**
 * The body of one upload on its way into the spool: in memory while it is small, in a payload file when it is large, and
 * perhaps on its way to the instance already. Whoever owns it ends it by `keep` and `settle`, or by `abandon`.
 */
import { createHash, type Hash } from 'node:crypto';
import { CodedError } from '../errors.ts';
import { ArchiveCheck } from '../protocol/archive-check.ts';
import type { EarlyDelivery } from '../queue/early-delivery.ts';
import type { JobRecord } from '../spool/job-record.ts';
import { type Draft, INLINE_LIMIT_BYTES, type Upload } from '../spool/spool.ts';
import type { AppContext } from './app-context.ts';
import { countForGarbage } from './body-garbage.ts';

/** A body that was announced as large gets its file once so much has come: who only announces it costs no file. */
const FILE_AFTER_BYTES = 1024;
/** How often a growing upload looks at the free space. */
const SPACE_CHECK_BYTES = 8 << 20;
/** When a delivery may begin while the body arrives: this much is there, this much is to come, and it comes fast. */
const EARLY_AFTER_BYTES = 4 << 20;
const EARLY_LEAST_BYTES = 16 << 20;
const EARLY_BYTES_PER_MS = 20_000;

/** The sender's side, as the body needs it. */
export type BodySource = {
  readonly pause: () => void;
  readonly resume: () => void;
  /** The largest file that is accepted from this sender; null: any. */
  readonly mostBytes: number | null;
  /** Throws when an archive of this sender must not hold a link to that target. */
  readonly checkLink: (target: string) => void;
  /** The file to write to cannot be made. */
  readonly fail: (error: unknown) => void;
};

export class UploadBody {
  readonly #context: AppContext;
  readonly #draft: Draft;
  readonly #declaredBytes: number | undefined;
  readonly #source: BodySource;
  readonly #hash: Hash | undefined;
  readonly #archive: ArchiveCheck | undefined;
  readonly #startedAtMs: number;
  readonly #fileAfterBytes: number;
  #receivedBytes = 0;
  #checkedBytes = 0;
  #writtenBytes = 0;
  #reservedBytes: number;
  #chunks: Buffer[] = [];
  #opening: Promise<void> | undefined;
  #file: Upload | undefined;
  #early: EarlyDelivery | undefined;
  #askedEarly = false;
  #abandoned = false;
  /** Payload and job are on stable storage. */
  #kept = false;

  /** Reserves the room that was declared. */
  constructor(context: AppContext, draft: Draft, declaredBytes: number | undefined, source: BodySource) {
    this.#context = context;
    this.#draft = draft;
    this.#declaredBytes = declaredBytes;
    this.#source = source;
    this.#startedAtMs = performance.now();
    this.#hash = draft.sha256 === null ? undefined : createHash('sha256');
    this.#archive = draft.extract === 'tar' ? new ArchiveCheck(source.checkLink) : undefined;
    this.#reservedBytes = declaredBytes ?? 0;
    context.spool.disk.reserve(this.#reservedBytes);
    this.#fileAfterBytes = this.#reservedBytes > INLINE_LIMIT_BYTES ? FILE_AFTER_BYTES : INLINE_LIMIT_BYTES;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Takes a chunk; throws when it is one too many, or what must not be in an archive. */
  take(chunk: Buffer): void {
    this.#receivedBytes += chunk.length;
    if (this.#declaredBytes === undefined) checkSize(this.#source.mostBytes, this.#receivedBytes);
    if (this.#receivedBytes - this.#checkedBytes >= SPACE_CHECK_BYTES) this.#checkSpace();
    this.#hash?.update(chunk);
    countForGarbage(chunk.length);
    this.#archive?.take(chunk);
    if (this.#file !== undefined) {
      this.#write(this.#file, chunk);
      return;
    }
    this.#chunks.push(chunk);
    if (this.#receivedBytes > this.#fileAfterBytes) this.#opening ??= this.#openFile();
    if (this.#receivedBytes > INLINE_LIMIT_BYTES) this.#source.pause();
  }

  /**
   * The body is whole: keeps it and its job. Resolves once both are on stable storage, to the job and whether it is this
   * upload's own; it is another's when their Idempotency-Key is the same.
   */
  async keep(): Promise<{ record: JobRecord; isOwn: boolean }> {
    const { spool } = this.#context;
    await this.#opening;
    // The file could not be made: it was refused for that, and what is left here is not the body.
    if (this.#abandoned) throw new Error('The upload was given up');
    this.#checkDigest();
    const draft = this.#archive === undefined ? this.#draft : this.#counted(this.#archive);
    const file = this.#file;
    if (file !== undefined) {
      await file.writer.finish();
      const record = await spool.acceptFile(draft, file);
      this.#kept = record.payloadFile === file.number;
      return { record, isOwn: this.#kept };
    }
    const { lastNumber } = spool;
    const [first] = this.#chunks;
    const bytes = this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks);
    const record = await spool.acceptInline(draft, bytes);
    this.#kept = record.sequence > lastNumber;
    return { record, isOwn: this.#kept };
  }

  /** The job was accepted as this upload's own: gives it to the queue. */
  async settle(record: JobRecord): Promise<void> {
    this.#release();
    const { queue, spool } = this.#context;
    for (const job of spool.readUpload(record)) queue.admitted(job, this.#early);
    await this.#early?.settled;
    await this.#file?.writer.close();
  }

  /** Leaves nothing behind, unless it was kept. Safe at any time, also twice. */
  async abandon(): Promise<void> {
    if (this.#kept) return;
    this.#abandoned = true;
    this.#release();
    this.#chunks = [];
    this.#early?.abandon();
    await this.#early?.settled;
    await this.#file?.writer.abort();
  }

  async #openFile(): Promise<void> {
    try {
      const file = await this.#context.spool.openUpload(this.#declaredBytes);
      this.#file = file;
      if (this.#abandoned) {
        await file.writer.abort();
        return;
      }
      const chunks = this.#chunks;
      this.#chunks = [];
      let welcome = true;
      for (const chunk of chunks) welcome = this.#write(file, chunk);
      if (welcome) this.#source.resume();
    } catch (error) {
      this.#source.fail(error);
    }
  }

  /** Whether more is welcome now. */
  #write(file: Upload, chunk: Buffer): boolean {
    if (!this.#askedEarly && this.#receivedBytes >= EARLY_AFTER_BYTES) this.#beginEarly(file);
    const welcome = file.writer.write(chunk, this.#source.resume);
    if (!welcome) this.#source.pause();
    return welcome;
  }

  #counted(archive: ArchiveCheck): Draft {
    return { ...this.#draft, filesTotal: archive.end() };
  }

  /**
   * A large file that arrives fast is delivered while it arrives, if there is a place for it. An archive is not: nothing of
   * it may be unpacked before all of it was looked at.
   */
  #beginEarly(file: Upload): void {
    this.#askedEarly = true;
    // One of several destinations would be ahead of the others, which read the same bytes from the spool soon.
    if (this.#draft.batch !== undefined) return;
    if (this.#archive !== undefined) return;
    const tookMs = performance.now() - this.#startedAtMs;
    const isFast = this.#receivedBytes >= tookMs * EARLY_BYTES_PER_MS;
    if (!isFast || (this.#declaredBytes ?? Number.POSITIVE_INFINITY) < EARLY_LEAST_BYTES) return;
    this.#early = this.#context.queue.beginEarly(this.#draft, file);
  }

  /** What is written is no longer promised but there, so the reservation shrinks with it. */
  #checkSpace(): void {
    const { disk } = this.#context.spool;
    const writtenBytes = this.#file?.writer.writtenBytes ?? 0;
    const promisedBytes = Math.max(this.#declaredBytes ?? 0, this.#receivedBytes) - writtenBytes;
    disk.wrote(writtenBytes - this.#writtenBytes);
    disk.reserve(promisedBytes - this.#reservedBytes);
    this.#checkedBytes = this.#receivedBytes;
    this.#writtenBytes = writtenBytes;
    this.#reservedBytes = promisedBytes;
    disk.check(0);
    const failure = this.#file?.writer.failure;
    if (failure !== undefined) throw failure;
  }

  #checkDigest(): void {
    const expected = this.#draft.sha256;
    const actual = this.#hash?.digest('hex');
    if (expected === null || actual === expected) return;
    throw new CodedError(
      'digest_mismatch',
      `The body has SHA-256 ${actual}, Repr-Digest says ${expected}; send the file again`,
    );
  }

  #release(): void {
    this.#context.spool.disk.release(this.#reservedBytes);
    this.#reservedBytes = 0;
  }
}

/** Throws `too_large` when a file of that size is not accepted. */
export function checkSize(mostBytes: number | null, bytes: number): void {
  if (mostBytes === null || bytes <= mostBytes) return;
  throw new CodedError('too_large', `The file is larger than the ${mostBytes} bytes that are accepted`);
}
