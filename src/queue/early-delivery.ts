/**
 * Early delivery ("cut-through"): a large upload is written into its temporary file in the instance while it still
 * arrives, and becomes visible only after payload and job are on stable storage. Whatever goes wrong before that, the
 * early attempt is thrown away and the job is delivered from the spool like any other. After a crash the journal names
 * the temporary file, so it is found and removed.
 */
import { createDeferredPromise } from '../base/deferred-promise.ts';
import { trace } from '../base/trace.ts';
import type { Outcome } from '../delivery/target.ts';
import { createGrowingPayload } from '../spool/payload-source.ts';
import type { Draft, Spool, Upload } from '../spool/spool.ts';
import type { ActiveJob } from './active-jobs.ts';
import type { Deliverer } from './attempt.ts';

export type EarlyContext = {
  readonly spool: Spool;
  readonly target: Deliverer;
  readonly timeoutMs: number;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
  readonly temporaryName: string;
};

export class EarlyDelivery {
  readonly controller = new AbortController();
  readonly startedAtMs: number;
  /** Resolves when nothing of it is under way any more: neither the delivery nor the writing down of its outcome. */
  readonly settled: Promise<void>;
  readonly #commit = createDeferredPromise<number>();
  readonly #settled = createDeferredPromise<void>();
  readonly #outcome: Promise<Outcome>;
  #ended = false;
  #temporaryLeft = false;
  #bytes = 0;
  #follower: ActiveJob | undefined;

  constructor(draft: Draft, upload: Upload, context: EarlyContext) {
    this.startedAtMs = context.startedAtMs;
    this.settled = this.#settled.promise;
    this.#commit.promise.catch(() => undefined);
    this.#outcome = this.#deliver(draft, upload, context);
  }

  /** Whether it has failed already, so that the job has to be delivered from the spool. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Whether its temporary file may still be in the instance. */
  get temporaryLeft(): boolean {
    return this.#temporaryLeft;
  }

  /** Bytes that the instance has confirmed. */
  get bytes(): number {
    return this.#bytes;
  }

  /** From now on its progress is the job's. */
  follow(active: ActiveJob): void {
    this.#follower = active;
  }

  /** Payload and job are on stable storage: the file may become visible. Resolves to the outcome. */
  commit(sizeBytes: number): Promise<Outcome> {
    this.#commit.resolve(sizeBytes);
    return this.#outcome;
  }

  /** It is settled once `concluded` is. */
  release(concluded: Promise<void>): void {
    void concluded.finally(() => this.#settled.resolve());
  }

  /** Throws it away. Safe at any time before `commit`, also twice. */
  abandon(): void {
    this.#commit.reject(new Error('The upload was given up'));
    this.controller.abort();
    void this.#outcome.finally(() => this.#settled.resolve());
  }

  async #deliver(draft: Draft, upload: Upload, context: EarlyContext): Promise<Outcome> {
    const { spool, target, timeoutMs, temporaryName } = context;
    const { project, instance } = draft;
    let temporaryPath: string | undefined;
    trace('delivering', upload.number);
    const outcome = await target.deliver({
      project,
      instance,
      path: draft.path,
      sourceName: draft.sourceName,
      mode: draft.mode,
      uid: draft.uid,
      gid: draft.gid,
      createDirs: draft.createDirs,
      payload: createGrowingPayload(upload.writer, this.#commit.promise),
      temporaryName,
      timeoutMs,
      signal: this.controller.signal,
      onTemporary: (path) => {
        temporaryPath = path;
        return spool.temporaries.note({
          sequence: upload.number,
          name: temporaryName,
          project,
          instance,
          path,
        });
      },
      onProgress: (bytes) => {
        this.#bytes = bytes;
        if (this.#follower !== undefined) this.#follower.bytes = bytes;
      },
      onRename: () => trace('before-rename', upload.number),
    });
    this.#ended = true;
    if (temporaryPath === undefined) return outcome;
    this.#temporaryLeft = outcome.kind !== 'delivered' && outcome.temporaryLeft;
    if (!this.#temporaryLeft) {
      const gone = { sequence: upload.number, name: temporaryName, project, instance, path: temporaryPath };
      await spool.temporaries.forget([gone]).catch(() => undefined);
    }
    return outcome;
  }
}
