/**
 * POST /upload: one request, one file. Every check that needs no body is made before the body is read. Whatever ends the
 * request before the commit leaves nothing behind.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { trace } from '../base/trace.ts';
import { CodedError } from '../errors.ts';
import { decodeUploadHeaders } from '../protocol/upload-headers.ts';
import type { JobRecord } from '../spool/job-record.ts';
import type { Draft } from '../spool/spool.ts';
import type { AppContext } from './app-context.ts';
import type { Caller } from './caller.ts';
import { peerOf } from './peer.ts';
import { sendError, sendWhole } from './respond.ts';
import { answerOf } from './upload-answer.ts';
import { isBatchUpload, resolveBatch, unresolvedDraft } from './upload-batch.ts';
import { checkSize, UploadBody } from './upload-body.ts';
import { codedError, declaredLength, draftOf, sameDestination } from './upload-draft.ts';
import type { UploadRegistry } from './upload-registry.ts';

export class UploadSession {
  readonly #context: AppContext;
  readonly #caller: Caller;
  readonly #registry: UploadRegistry;
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  #draft!: Draft;
  #body: UploadBody | undefined;
  #ended = false;
  #over = false;
  /** For the registry: when the last byte came, and whether we are the ones who wait. */
  lastByteAtMs = 0;
  paused = false;

  constructor(
    context: AppContext,
    caller: Caller,
    registry: UploadRegistry,
    req: IncomingMessage,
    res: ServerResponse,
  ) {
    this.#context = context;
    this.#caller = caller;
    this.#registry = registry;
    this.#req = req;
    this.#res = res;
  }

  /** `askedToContinue`: the sender waits for a `100 Continue` before it sends the body (RFC 9110 section 10.1.1). */
  start(askedToContinue: boolean): void {
    try {
      const request = decodeUploadHeaders(this.#req.rawHeaders);
      const declaredBytes = declaredLength(this.#req);
      if (isBatchUpload(request)) {
        this.#draft = unresolvedDraft(request, this.#caller);
        if (this.#replay()) return;
        resolveBatch(this.#context, this.#caller, request)
          .then((draft) => this.#begin(draft, declaredBytes, askedToContinue))
          .catch((error: unknown) => this.#refuse(error));
        return;
      }
      this.#draft = draftOf(request, this.#caller);
      if (this.#replay()) return;
      this.#begin(this.#draft, declaredBytes, askedToContinue);
    } catch (error) {
      this.#refuse(error);
    }
  }

  #begin(draft: Draft, declaredBytes: number | undefined, askedToContinue: boolean): void {
    // The sender may have gone while the target was asked.
    if (this.#over || this.#res.destroyed) return;
    this.#draft = draft;
    this.#admit(declaredBytes ?? 0);
    this.#receive(declaredBytes);
    if (askedToContinue) this.#res.writeContinue();
  }

  /** No byte came for too long. */
  stall(): void {
    const seconds = this.#context.limits.bodyTimeoutMs / 1000;
    this.#refuse(new CodedError('stalled', `No byte of the body came for ${seconds} s`));
  }

  /** Others need the place. */
  giveWay(): void {
    this.#refuse(
      new CodedError('stalled', 'All places for uploads are taken and this one hardly moves; send it again'),
    );
  }

  get #mostBytes(): number | null {
    return this.#caller.maxUploadSizeBytes(this.#context.limits.maxUploadSizeBytes);
  }

  get receivedBytes(): number {
    return this.#body?.receivedBytes ?? 0;
  }

  /** How many jobs come of it. */
  get #jobs(): number {
    return this.#draft.batch?.destinations.length ?? 1;
  }

  /** Answers at once when the key was used before: the first job again, or a refusal for another destination. */
  #replay(): boolean {
    if (this.#draft.idempotencyKey === null) return false;
    const found = this.#context.spool.findByKey(this.#draft.idempotencyKey);
    if (found === undefined) return false;
    if (!(found instanceof Promise)) {
      this.#answerReplay(found);
      return true;
    }
    const failed = new CodedError('not_ready', 'The first upload with this key has just failed; try again', {
      retryAfterSeconds: 1,
    });
    found
      .catch(() => Promise.reject(failed))
      .then((record) => this.#answerReplay(record))
      .catch((error: unknown) => this.#refuse(error));
    return true;
  }

  #answerReplay(record: JobRecord): void {
    this.#checkSameDestination(record);
    this.#context.stats.uploadsReplayed += 1;
    this.#answer(record);
  }

  #checkSameDestination(record: JobRecord): void {
    const { instance, path } = this.#draft;
    // Sent before the token of this name was given another scope.
    const jobs = this.#context.spool.readUpload(record);
    if (!jobs.every((job) => this.#caller.covers(job))) throw new CodedError('key_reused');
    if (sameDestination(this.#draft, record)) return;
    throw new CodedError(
      'key_reused',
      `The Idempotency-Key was used for ${record.instance}:${record.path}, not ${instance}:${path}`,
    );
  }

  #admit(declaredBytes: number): void {
    const { limits, stats, spool, draining } = this.#context;
    if (draining) throw new CodedError('draining', undefined, { retryAfterSeconds: 2 });
    if (stats.uploadsUnderWay >= limits.maxUploads && !this.#registry.makeRoom()) {
      throw new CodedError(
        'too_many_uploads',
        `${limits.maxUploads} uploads are under way, no more are taken at once`,
        { retryAfterSeconds: 1 },
      );
    }
    if (spool.live.size + stats.jobsArriving + this.#jobs > limits.maxQueuedJobs) {
      throw new CodedError(
        'queue_full',
        `${limits.maxQueuedJobs} jobs wait in the queue, no more are taken`,
        { retryAfterSeconds: 10 },
      );
    }
    checkSize(this.#mostBytes, declaredBytes);
    spool.disk.check(declaredBytes);
  }

  #receive(declaredBytes: number | undefined): void {
    const body = new UploadBody(this.#context, this.#draft, declaredBytes, {
      pause: () => {
        this.paused = true;
        this.#req.pause();
      },
      resume: () => {
        if (this.#over) return;
        this.lastByteAtMs = performance.now();
        this.paused = false;
        this.#req.resume();
      },
      mostBytes: this.#mostBytes,
      checkLink: (target) => this.#caller.checkLink(target),
      fail: (error) => this.#refuse(error),
    });
    this.#body = body;
    this.#context.stats.uploadsUnderWay += 1;
    this.#context.stats.jobsArriving += this.#jobs;
    this.lastByteAtMs = performance.now();
    this.#registry.add(this);
    this.#req.on('data', (chunk: Buffer) => {
      if (this.#over) return;
      this.lastByteAtMs = performance.now();
      try {
        body.take(chunk);
      } catch (error) {
        this.#refuse(error);
      }
    });
    this.#req.on('end', () => {
      if (this.#over) return;
      this.#ended = true;
      void this.#commit(body);
    });
    this.#req.on('close', () => this.#vanish());
    this.#req.on('error', () => this.#vanish());
  }

  async #commit(body: UploadBody): Promise<void> {
    // From here on the sender may be gone: what it sent in full is kept or refused all the same.
    this.#registry.delete(this);
    try {
      const { record, isOwn } = await body.keep();
      const { stats } = this.#context;
      if (!isOwn) {
        this.#answerReplay(record);
        this.#leave();
        await body.abandon();
        return;
      }
      this.#leave();
      stats.uploadsAccepted += 1;
      stats.uploadBytesAccepted += body.receivedBytes;
      try {
        for (const job of this.#context.spool.readUpload(record)) this.#audit(job);
        this.#answer(record);
        trace('answered', record.sequence);
      } finally {
        // It is accepted, whatever becomes of its answer.
        await body.settle(record);
      }
    } catch (error) {
      this.#refuse(error);
    }
  }

  #audit(record: JobRecord): void {
    const { sequence } = record;
    this.#context.onAudit({
      outcome: 'accepted',
      peer: peerOf(this.#req),
      caller: this.#caller,
      sequence,
      record,
    });
  }

  #answer(record: JobRecord): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#res.destroyed) return;
    const json = this.#req.headers.accept?.includes('json') === true;
    const { text, headers } = answerOf(this.#context, record, json);
    sendWhole(this.#req, this.#res, 202, text, {
      'Content-Type': json ? 'application/json' : 'text/plain; charset=utf-8',
      ...headers,
    });
  }

  /** The sender went away before the body was whole. */
  #vanish(): void {
    if (this.#over || this.#ended) return;
    this.#over = true;
    this.#context.stats.uploadsAborted += 1;
    this.#leave();
    void this.#body?.abandon();
  }

  #refuse(cause: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#leave();
    void this.#body?.abandon();
    const error = codedError(cause);
    const { method = '', url = '' } = this.#req;
    this.#context.stats.refused(error.code);
    this.#context.onRefused({ peer: peerOf(this.#req), method, url, error });
    if (!this.#res.destroyed) sendError(this.#req, this.#res, error);
  }

  /** Gives back the place that this upload took; once. */
  #leave(): void {
    this.#registry.delete(this);
    if (this.lastByteAtMs === 0) return;
    this.lastByteAtMs = 0;
    this.#context.stats.uploadsUnderWay -= 1;
    this.#context.stats.jobsArriving -= this.#jobs;
  }
}
