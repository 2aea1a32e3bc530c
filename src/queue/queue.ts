/**
 * The queue: decides which job is delivered when, and writes down what became of it. Per instance a lane keeps the
 * order; fastq runs what the lanes give it, `concurrency` at once. fastq holds only jobs that are in the journal, so
 * nothing here needs to survive: a new run starts from the journal.
 */
import { messageOf } from '../errors.ts';
import { isFinished, type Job, laneOf } from '../protocol/job.ts';
import { encodeJobId } from '../protocol/job-id.ts';
import { pathKeys } from '../protocol/path-key.ts';
import type { JobRecord } from '../spool/job-record.ts';
import type { Draft, Spool, Upload } from '../spool/spool.ts';
import { type ActiveJob, ActiveJobs } from './active-jobs.ts';
import { type AttemptResult, type Deliverer, strandedAt } from './attempt.ts';
import { Circuit } from './circuit.ts';
import { EarlyDelivery } from './early-delivery.ts';
import { Janitor } from './janitor.ts';
import { type ControlParts, cancelJob, retryJob } from './job-control.ts';
import { JobFeed } from './job-feed.ts';
import { type Concluded, JobRunner } from './job-runner.ts';
import type { Lane } from './lane.ts';
import { Lanes } from './lanes.ts';
import { Places } from './places.ts';
import type { QueueOptions } from './queue-options.ts';

/** Small files of one instance that travel together as one delivery. */
const BUNDLE = 32;
/** Deliveries that may wait to be written down before new ones wait for them. */
const CONCLUDING_LIMIT = 512;
const PROBE_EVERY_MS = 1000;
const PROBE_TIMEOUT_MS = 10_000;

export class Queue {
  readonly feed: JobFeed;
  readonly circuit: Circuit;
  readonly active: ActiveJobs;
  readonly #control: ControlParts;
  readonly #runner: JobRunner;
  readonly #spool: Spool;
  readonly #options: QueueOptions;
  readonly #lanes: Lanes;
  readonly #places: Places;
  readonly #target: Deliverer;
  readonly #janitor: Janitor;
  /** Upload numbers of early deliveries under way. */
  readonly #early = new Set<number>();
  #concluding = 0;
  #stopping = false;

  constructor(spool: Spool, target: Deliverer, options: QueueOptions) {
    this.#spool = spool;
    this.#target = target;
    this.#janitor = new Janitor(
      spool,
      target,
      ({ sequence }) => this.#early.has(sequence) || this.#read(sequence) !== undefined,
    );
    this.#runner = new JobRunner(spool, target, options);
    this.#options = options;
    this.active = new ActiveJobs(spool);
    this.feed = new JobFeed(options.nowMs());
    this.#control = {
      spool,
      active: this.active,
      feed: this.feed,
      nowMs: options.nowMs,
      laneOf: (record) => this.#lanes.of(laneOf(record)),
      pump: (lane) => this.#pump(lane),
    };
    this.#lanes = new Lanes({
      live: spool.live,
      read: (sequence) => this.#read(sequence),
      pump: (lane) => this.#pump(lane),
      nowMs: options.nowMs,
      leastPauseMs: options.policy.minDelayMs,
      mostDelayMs: options.policy.maxDelayMs,
    });
    this.#places = new Places(options.concurrency, (lane) => this.#pump(lane));
    this.circuit = new Circuit({
      probe: () => target.probe(PROBE_TIMEOUT_MS),
      intervalMs: PROBE_EVERY_MS,
      nowMs: options.nowMs,
      onOpen: (reason) => {
        this.#places.pause();
        options.log.warn({ reason }, 'Incus does not answer, deliveries wait');
      },
      onClose: () => {
        options.log.info({}, 'Incus answers, deliveries go on');
        this.#places.resume();
        this.#pumpAll();
        this.#janitor.look();
      },
    });
  }

  /** Takes up what the journal holds. */
  start(): void {
    for (const name of this.#spool.live.lanes()) this.#pump(this.#lanes.of(name));
    this.#janitor.look();
  }

  /** A job was accepted; `early` is its delivery that began while it arrived. */
  admitted(record: JobRecord, early?: EarlyDelivery): void {
    const { sequence } = record;
    this.feed.publish(sequence, record.state);
    const lane = this.#lanes.of(laneOf(record));
    lane.readmit(sequence);
    if (early !== undefined && !early.ended && !this.#stopping && lane.adopt(sequence)) {
      const active = this.active.add(sequence, early.controller);
      active.startedAtMs = early.startedAtMs;
      active.bytes = early.bytes;
      early.follow(active);
      this.feed.publish(sequence, 'delivering');
      early.release(this.#concludeEarly(lane, record, active, early));
    } else early?.abandon();
    this.#pump(lane);
  }

  /**
   * Begins to deliver an upload while it arrives, when a place is free and nothing else for its files is under way.
   * The caller has to end it, by `admitted` or by `abandon`.
   */
  beginEarly(draft: Draft, upload: Upload): EarlyDelivery | undefined {
    const nowMs = this.#options.nowMs();
    const lane = this.#lanes.of(laneOf(draft));
    const isFree =
      !this.#stopping &&
      this.circuit.reason === undefined &&
      this.#places.isFree &&
      lane.running < this.#options.instanceConcurrency &&
      lane.isClearFor(pathKeys(draft), nowMs) &&
      strandedAt(draft, this.#spool).length === 0;
    if (!isFree) {
      this.#lanes.dropIfIdle(lane);
      return undefined;
    }
    const early = new EarlyDelivery(draft, upload, {
      spool: this.#spool,
      target: this.#target,
      timeoutMs: this.#options.deliveryTimeoutMs,
      startedAtMs: nowMs,
      temporaryName: this.#runner.temporaryName(upload.number),
    });
    this.#early.add(upload.number);
    const watch = async (): Promise<void> => {
      await early.settled;
      this.#early.delete(upload.number);
      if (early.temporaryLeft) this.#janitor.look();
    };
    this.#places.give({ lane, work: watch, progress: () => early.bytes });
    return early;
  }

  async #concludeEarly(
    lane: Lane,
    record: JobRecord,
    active: ActiveJob,
    early: EarlyDelivery,
  ): Promise<void> {
    const outcome = await early.commit(record.size);
    await this.#conclude(lane, record, active, { outcome, removed: [] });
  }

  /** An instance can take files again: what waits for it is tried at once. */
  wake(project: string, instance: string): void {
    const lane = this.#lanes.find(laneOf({ project, instance }));
    if (lane === undefined) return;
    lane.pausedUntilMs = 0;
    lane.wake(this.#options.nowMs());
    this.#pump(lane);
  }

  /** Ended attempts by outcome, and bytes delivered, since the start. */
  get totals(): Pick<JobRunner, 'attempts' | 'deliveredBytes'> {
    return this.#runner;
  }

  /** The job as it stands now. */
  view(record: JobRecord): Job {
    return this.active.view(record);
  }

  find(sequence: number): Job | undefined {
    const record = this.#spool.read(sequence);
    return record === undefined ? undefined : this.active.view(record);
  }

  /** See {@link cancelJob}. */
  cancel(sequence: number): Promise<Job> {
    return cancelJob(this.#control, sequence);
  }

  /** See {@link retryJob}. */
  retry(sequence: number): Promise<Job> {
    return retryJob(this.#control, sequence);
  }

  /** No new attempt starts from now on. */
  pause(): void {
    this.#stopping = true;
    this.#runner.stop();
    this.circuit.stop();
    this.#lanes.stop();
    this.#places.pause();
  }

  /** Ends in order: attempts under way have `graceMs`; what is not done stays queued. */
  async stop(graceMs: number): Promise<void> {
    this.pause();
    const grace = setTimeout(() => this.active.abortAll(), graceMs);
    await this.active.untilEnded();
    clearTimeout(grace);
    this.#places.abort();
    await this.#janitor.stop();
  }

  /** An unfinished job's record; one that cannot be read is said aloud and left for `incus-uploadd fsck`. */
  #read(sequence: number): JobRecord | undefined {
    try {
      const record = this.#spool.read(sequence);
      return record === undefined || isFinished(record.state) ? undefined : record;
    } catch (error) {
      this.#options.log.warn({ job: encodeJobId(sequence), error: messageOf(error) }, 'cannot read a job');
      return undefined;
    }
  }

  #pumpAll(): void {
    for (const lane of this.#lanes.all()) this.#pump(lane);
  }

  /** Gives fastq what the lane may run now. */
  #pump(lane: Lane): void {
    if (this.#stopping) return;
    while (lane.running < this.#options.instanceConcurrency) {
      const sequences = lane.take(BUNDLE, this.#options.nowMs());
      if (sequences.length === 0) break;
      for (const sequence of sequences) this.active.add(sequence, new AbortController());
      this.#places.give({
        lane,
        work: () => Promise.all(sequences.map((sequence) => this.#runOne(lane, sequence))),
        progress: () => this.active.progressOf(sequences),
      });
    }
    this.#lanes.dropIfIdle(lane);
  }

  async #runOne(lane: Lane, sequence: number): Promise<void> {
    const active = this.active.get(sequence);
    const record = this.#read(sequence);
    if (active === undefined || active.cancelled || record === undefined) return;
    active.startedAtMs = this.#options.nowMs();
    this.feed.publish(sequence, 'delivering');
    const concluded = this.#conclude(lane, record, active, await this.#runner.attempt(record, active));
    // The next delivery need not wait until this one is written down, as long as that keeps up.
    if (this.#concluding > CONCLUDING_LIMIT) await concluded;
  }

  async #conclude(lane: Lane, record: JobRecord, active: ActiveJob, result: AttemptResult): Promise<void> {
    const concluded = this.#runner.conclude(record, active, result);
    // Before it is written down: the next jobs of the lane are handed out meanwhile.
    if (!this.#stopping) this.#learn(lane, concluded, active);
    this.#concluding += 1;
    const recorded = await concluded.recorded;
    this.#concluding -= 1;
    this.#settle(lane, concluded, active, recorded);
    this.#pump(lane);
  }

  /** The attempt has ended and its outcome is written down. */
  #settle(lane: Lane, { next, outcome }: Concluded, active: ActiveJob, recorded: boolean): void {
    const { sequence } = next;
    this.active.delete(sequence);
    if (recorded) {
      this.#lanes.settle(lane, next);
      // The instance came back while this attempt was failing.
      if (lane.wokenAtMs > active.startedAtMs) lane.giveBack(sequence);
      if (isFinished(next.state) && outcome.kind !== 'delivered' && outcome.temporaryLeft)
        this.#janitor.look();
    }
    this.feed.publish(sequence, next.state);
    for (const wake of active.ended) wake();
  }

  /** What the outcome of an attempt means for other jobs. */
  #learn(lane: Lane, { next, outcome }: Concluded, active: ActiveJob): void {
    if (outcome.kind === 'transient' && outcome.scope === 'target') this.circuit.open(outcome.error.message);
    else if (outcome.kind === 'transient' && outcome.scope === 'instance') {
      if (lane.wokenAtMs <= active.startedAtMs) this.#lanes.pause(lane, next);
    } else {
      lane.pausedUntilMs = 0;
      lane.probing = false;
    }
  }
}
