/** Runs attempts and writes down what became of them. After a crash in between the next run delivers the same again. */
import { trace } from '../base/trace.ts';
import type { Outcome } from '../delivery/target.ts';
import { messageOf } from '../errors.ts';
import { encodeJobId } from '../protocol/job-id.ts';
import { keyOfPath } from '../protocol/path-key.ts';
import type { JobRecord } from '../spool/job-record.ts';
import type { Spool } from '../spool/spool.ts';
import type { ActiveJob } from './active-jobs.ts';
import { type AttemptResult, attemptDelivery, type Deliverer } from './attempt.ts';
import { cancelled } from './job-control.ts';
import { recordOutcome } from './outcome-record.ts';
import type { QueueOptions } from './queue-options.ts';

export type Concluded = {
  /** The job as it is now. */
  readonly next: JobRecord;
  readonly outcome: Outcome;
  /**
   * Resolves once that is on stable storage; to false when this run ends before the outcome could be written down.
   * Never rejects.
   */
  readonly recorded: Promise<boolean>;
};

export class JobRunner {
  readonly #spool: Spool;
  readonly #target: Deliverer;
  readonly #options: QueueOptions;
  /** Ended attempts by outcome, and bytes delivered, since the start. */
  readonly attempts = { delivered: 0, transient: 0, permanent: 0 };
  deliveredBytes = 0;
  #temporaryCount = 0;
  #stopping = false;

  constructor(spool: Spool, target: Deliverer, options: QueueOptions) {
    this.#spool = spool;
    this.#target = target;
    this.#options = options;
  }

  /** From now on an attempt that is cut short is none. */
  stop(): void {
    this.#stopping = true;
  }

  /** A name in the destination's directory that no other attempt of any run uses. */
  temporaryName(number: number): string {
    this.#temporaryCount += 1;
    return `.incus-upload.${encodeJobId(number)}.${this.#spool.run.toString(36)}-${this.#temporaryCount.toString(36)}`;
  }

  /** Delivers a job from the spool. Never rejects. */
  attempt(record: JobRecord, active: ActiveJob): Promise<AttemptResult> {
    return attemptDelivery(record, {
      spool: this.#spool,
      target: this.#target,
      timeoutMs: this.#options.deliveryTimeoutMs,
      signal: active.controller.signal,
      temporaryName: this.temporaryName(record.sequence),
      onProgress: (bytes) => {
        active.bytes = bytes;
      },
      onFiles: (files) => {
        active.files = files;
      },
    });
  }

  /** Decides what the outcome of an attempt means for the job, and begins to write it down. */
  conclude(record: JobRecord, active: ActiveJob, result: AttemptResult): Concluded {
    const { outcome, removed, placedKeys = [] } = result;
    this.attempts[outcome.kind] += 1;
    if (outcome.kind === 'delivered') {
      trace('after-rename', record.sequence);
      this.deliveredBytes += record.size;
    }
    const next = this.#nextRecord(record, active, outcome);
    const isFile = outcome.kind === 'delivered' && record.extract === null;
    const deliveredKey = isFile ? { deliveredKey: keyOfPath(record, outcome.path) } : {};
    const recorded = this.#record(record, next, { removed, placedKeys, ...deliveredKey });
    return { next, outcome, recorded };
  }

  #nextRecord(record: JobRecord, active: ActiveJob, outcome: Outcome): JobRecord {
    const nowMs = this.#options.nowMs();
    if (active.cancelled && outcome.kind !== 'delivered') return cancelled(record, nowMs);
    // An attempt that the end of this run cut short was no attempt.
    if (this.#stopping && outcome.kind === 'transient') return record;
    return recordOutcome(record, outcome, {
      startedAtMs: active.startedAtMs,
      nowMs,
      policy: this.#options.policy,
      random: this.#options.random,
    });
  }

  async #record(
    record: JobRecord,
    next: JobRecord,
    about: NonNullable<Parameters<Spool['record']>[2]>,
  ): Promise<boolean> {
    const { removed = [], placedKeys = [] } = about;
    if (next === record && removed.length === 0 && placedKeys.length === 0) return true;
    try {
      await this.#spool.record(record, next, about);
      trace('recorded', record.sequence);
      return true;
    } catch (error) {
      this.#options.log.warn(
        { job: encodeJobId(record.sequence), error: messageOf(error) },
        'cannot write down the outcome of a job',
      );
      return false;
    }
  }
}
