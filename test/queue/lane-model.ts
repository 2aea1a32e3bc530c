/** A lane beside the simplest thing that could do the same: a list of jobs. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Lane, type LaneSource, type PulledJob } from '../../src/queue/lane.ts';

type ModelState = 'committing' | 'queued' | 'deferred' | 'active' | 'claimed' | 'failed' | 'gone';
type ModelJob = PulledJob & { dueMs: number; state: ModelState };

/** Lane and model, and what whoever owns the lane does with both. */
export class LaneUnderTest {
  readonly jobs = new Map<number, ModelJob>();
  readonly lane: Lane;
  nowMs = 1;
  /** What the owner's clock will ring for. */
  readonly #alarms: { sequence: number; dueMs: number }[] = [];
  #lastSequence = 0;
  /** What each `take` gave. */
  readonly taken: number[][] = [];

  constructor() {
    const source: LaneSource = {
      after: (sequence) => this.#live().find((job) => job.sequence > sequence)?.sequence,
      pull: (sequence) => {
        const job = this.jobs.get(sequence);
        return job === undefined || !isUnfinished(job) ? undefined : { ...job, notBeforeMs: job.dueMs };
      },
      onDeferred: (sequence, dueMs) => void this.#alarms.push({ sequence, dueMs }),
    };
    this.lane = new Lane('default/c1', source);
  }

  accept(keys: readonly number[], small: boolean, barrier = false): number {
    this.#lastSequence += 1;
    const sequence = this.#lastSequence;
    this.jobs.set(sequence, { sequence, keys, small, barrier, notBeforeMs: 0, dueMs: 0, state: 'queued' });
    return sequence;
  }

  /** A job that an earlier run left deferred. */
  recover(keys: readonly number[], afterMs: number): void {
    const job = this.jobs.get(this.accept(keys, true)) as ModelJob;
    if (afterMs > 0) job.state = 'deferred';
    job.dueMs = this.nowMs + afterMs;
  }

  /** A job whose commit takes longer than that of later ones. */
  acceptLate(keys: readonly number[]): void {
    (this.jobs.get(this.accept(keys, true)) as ModelJob).state = 'committing';
  }

  commit(pick: number): void {
    const job = this.#pick(pick, 'committing');
    if (job === undefined) return;
    job.state = 'queued';
    this.lane.readmit(job.sequence);
  }

  take(limit: number): void {
    const taken = this.lane.take(limit, this.nowMs);
    assert.ok(taken.length <= limit);
    for (const sequence of taken) this.#begin(sequence);
    const [first] = taken;
    if (taken.length > 1 || (first !== undefined && limit > 1)) {
      assert.ok(taken.length === 1 || taken.every((sequence) => this.jobs.get(sequence)?.small));
    }
    if (limit > 0 && taken.length === 0) assert.deepEqual(this.runnable(), [], 'something runnable is left');
    this.taken.push(taken);
  }

  /** A new job whose delivery has begun already. */
  adopt(keys: readonly number[]): void {
    const sequence = this.accept(keys, false);
    const isFree = this.#othersOf(sequence).length === 0;
    assert.equal(this.lane.adopt(sequence), isFree);
    if (isFree) this.#begin(sequence);
    // It may have pulled jobs whose time has come meanwhile: the clock rings for them at once.
    this.passTime(0);
  }

  finish(pick: number): void {
    const job = this.#pick(pick, 'active', 'claimed');
    if (job === undefined) return;
    job.state = 'gone';
    this.lane.finish(job.sequence);
  }

  /** Ends for good, and may be retried. */
  fail(pick: number): void {
    const job = this.#pick(pick, 'active');
    if (job === undefined) return;
    job.state = 'failed';
    this.lane.finish(job.sequence);
  }

  defer(pick: number, afterMs: number): void {
    const job = this.#pick(pick, 'active');
    if (job === undefined) return;
    job.state = 'deferred';
    job.dueMs = this.nowMs + afterMs;
    this.lane.defer(job.sequence, job.dueMs);
    this.#alarms.push({ sequence: job.sequence, dueMs: job.dueMs });
  }

  giveBack(pick: number): void {
    const job = this.#pick(pick, 'active');
    if (job === undefined) return;
    job.state = 'queued';
    this.lane.giveBack(job.sequence);
  }

  hurry(pick: number): void {
    const job = this.#pick(pick, 'deferred');
    if (job === undefined) return;
    job.state = 'queued';
    this.lane.hurry(job.sequence);
  }

  wake(): void {
    for (const job of this.jobs.values()) if (job.state === 'deferred') job.state = 'queued';
    this.lane.wake(0);
  }

  claim(pick: number): void {
    const any = this.#pick(pick, 'queued', 'deferred', 'active', 'claimed', 'gone', 'failed');
    if (any === undefined) return;
    const mayBeClaimed = any.state === 'queued' || any.state === 'deferred';
    assert.equal(this.lane.claim(any.sequence), mayBeClaimed);
    if (mayBeClaimed) any.state = 'claimed';
  }

  readmit(pick: number): void {
    const job = this.#pick(pick, 'failed');
    if (job === undefined) return;
    job.state = 'queued';
    job.dueMs = 0;
    this.lane.readmit(job.sequence);
  }

  passTime(ms: number): void {
    this.nowMs += ms;
    const due = this.#alarms.filter((alarm) => alarm.dueMs <= this.nowMs);
    for (const { sequence } of due) {
      this.#alarms.splice(
        this.#alarms.findIndex((alarm) => alarm.sequence === sequence),
        1,
      );
      if ((this.lane.dueMs(sequence) ?? Number.POSITIVE_INFINITY) <= this.nowMs) this.lane.giveBack(sequence);
    }
    for (const job of this.jobs.values())
      if (job.state === 'deferred' && job.dueMs <= this.nowMs) job.state = 'queued';
  }

  /** What the lane must be willing to run now. */
  runnable(): number[] {
    return this.#live()
      .filter((job) => job.state === 'queued' && this.#othersOf(job.sequence).length === 0)
      .map((job) => job.sequence);
  }

  /** Runs everything to its end; whatever is left then was forgotten. */
  drain(): void {
    for (let rounds = 0; this.#live().length > 0; rounds += 1) {
      assert.ok(rounds < 1000, `forgotten: ${JSON.stringify(this.#live())}`);
      this.passTime(1000);
      this.take(3);
      while (this.#pick(0, 'active', 'claimed') !== undefined) this.finish(0);
    }
  }

  #begin(sequence: number): void {
    const job = this.jobs.get(sequence) as ModelJob;
    assert.equal(job.state, 'queued', `job ${sequence} is ${job.state}`);
    assert.deepEqual(this.#othersOf(sequence), [], `job ${sequence} is before its turn`);
    job.state = 'active';
  }

  /** Unfinished jobs for the same files, or barriers, that stand before a job: earlier ones, and whichever is active. */
  #othersOf(sequence: number): number[] {
    const { keys, barrier } = this.jobs.get(sequence) as ModelJob;
    const mayMeet = (other: ModelJob) =>
      barrier || other.barrier || other.keys.some((key) => keys.includes(key));
    return this.#live()
      .filter((other) => other.sequence !== sequence && mayMeet(other))
      .filter((other) => other.sequence < sequence || other.state === 'active')
      .map((other) => other.sequence);
  }

  #live(): ModelJob[] {
    return [...this.jobs.values()].filter(isUnfinished).sort((a, b) => a.sequence - b.sequence);
  }

  #pick(pick: number, ...states: ModelState[]): ModelJob | undefined {
    const fitting = [...this.jobs.values()].filter((job) => states.includes(job.state));
    return fitting[pick % Math.max(1, fitting.length)];
  }
}

function isUnfinished(job: ModelJob): boolean {
  return job.state !== 'gone' && job.state !== 'failed' && job.state !== 'committing';
}

type Step = (under: LaneUnderTest) => void;

const pick = fc.nat({ max: 20 });
const keys = fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 2 });

function step<A extends unknown[]>(
  name: string,
  args: { [K in keyof A]: fc.Arbitrary<A[K]> },
  act: (under: LaneUnderTest, ...args: A) => void,
): fc.Arbitrary<Step> {
  return fc.tuple(...(args as fc.Arbitrary<unknown>[])).map((values) => {
    const run: Step = (under) => act(under, ...(values as A));
    // What a counterexample shows.
    return Object.assign(run, { [fc.toStringMethod]: () => `${name}(${JSON.stringify(values)})` });
  });
}

export const arbitrarySteps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: step('accept', [keys, fc.boolean()], (u, k, small) => void u.accept(k, small)) },
    { weight: 6, arbitrary: step('take', [fc.integer({ min: 1, max: 3 })], (u, limit) => u.take(limit)) },
    { weight: 3, arbitrary: step('finish', [pick], (u, p) => u.finish(p)) },
    step('acceptBarrier', [keys], (u, k) => void u.accept(k, false, true)),
    step('acceptLate', [keys], (u, k) => u.acceptLate(k)),
    step('commit', [pick], (u, p) => u.commit(p)),
    step('fail', [pick], (u, p) => u.fail(p)),
    step('defer', [pick, fc.integer({ min: 1, max: 9 })], (u, p, ms) => u.defer(p, ms)),
    step('giveBack', [pick], (u, p) => u.giveBack(p)),
    step('hurry', [pick], (u, p) => u.hurry(p)),
    step('wake', [], (u) => u.wake()),
    step('claim', [pick], (u, p) => u.claim(p)),
    step('adopt', [keys], (u, k) => u.adopt(k)),
    step('readmit', [pick], (u, p) => u.readmit(p)),
    step('passTime', [fc.integer({ min: 1, max: 5 })], (u, ms) => u.passTime(ms)),
  ),
  { maxLength: 60 },
);

export const arbitraryLeftovers = fc.array(fc.tuple(keys, fc.integer({ min: 0, max: 9 })), {
  maxLength: 5,
});
