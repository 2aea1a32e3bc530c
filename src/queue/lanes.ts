/** The lanes that have something to do, and the clock that wakes them. */
import { isFinished } from '../protocol/job.ts';
import type { JobRecord } from '../spool/job-record.ts';
import type { LiveIndex } from '../spool/live-index.ts';
import { Lane } from './lane.ts';
import { createLaneSource } from './lane-source.ts';
import { RetryClock } from './retry-clock.ts';

export type LanesContext = {
  readonly live: LiveIndex;
  /** The record of an unfinished job. */
  readonly read: (sequence: number) => JobRecord | undefined;
  /** Runs what the lane may run now. */
  readonly pump: (lane: Lane) => void;
  readonly nowMs: () => number;
  /** Least pause of a lane whose instance has trouble. */
  readonly leastPauseMs: number;
  /** What a job may have to wait at most after a failure. */
  readonly mostDelayMs: number;
};

export class Lanes {
  readonly #context: LanesContext;
  readonly #lanes = new Map<string, Lane>();
  readonly #clock: RetryClock;

  constructor(context: LanesContext) {
    this.#context = context;
    this.#clock = new RetryClock(context.nowMs, undefined, () => this.#wakeAll());
  }

  /** The lane of that name, made when it is not there. */
  of(name: string): Lane {
    const existing = this.#lanes.get(name);
    if (existing !== undefined) return existing;
    const { live, read, nowMs, mostDelayMs } = this.#context;
    const onDeferred = (sequence: number, dueMs: number): void => this.#wakeAt(lane, sequence, dueMs);
    const lane: Lane = new Lane(name, createLaneSource(name, { live, read, onDeferred, nowMs, mostDelayMs }));
    this.#lanes.set(name, lane);
    return lane;
  }

  find(name: string): Lane | undefined {
    return this.#lanes.get(name);
  }

  all(): IterableIterator<Lane> {
    return this.#lanes.values();
  }

  /** Forgets a lane without work; it is made anew when work comes. */
  dropIfIdle(lane: Lane): void {
    if (lane.running === 0 && this.#context.live.lane(lane.name) === undefined) this.#lanes.delete(lane.name);
  }

  /** An attempt has ended and the job is now `next`. */
  settle(lane: Lane, next: JobRecord): void {
    const { sequence, state } = next;
    if (isFinished(state)) lane.finish(sequence);
    else if (state === 'deferred') {
      const dueMs = next.nextAttemptAt ?? 0;
      lane.defer(sequence, dueMs);
      this.#wakeAt(lane, sequence, dueMs);
    } else lane.giveBack(sequence);
  }

  /** The whole instance has trouble: its jobs wait as long as the one that found out, and then one goes first. */
  pause(lane: Lane, next: JobRecord): void {
    const { nowMs, leastPauseMs, pump } = this.#context;
    lane.pausedUntilMs = Math.max(lane.pausedUntilMs, next.nextAttemptAt ?? nowMs() + leastPauseMs);
    lane.probing = true;
    // The lane may be idle and forgotten by then; only the one that has its place may take up jobs.
    this.#clock.set(lane.pausedUntilMs, () => pump(this.of(lane.name)));
  }

  stop(): void {
    this.#clock.stop();
  }

  /** The clock was set: what waits for a time, which may be years away now, is tried at once. */
  #wakeAll(): void {
    for (const lane of this.#lanes.values()) {
      lane.pausedUntilMs = 0;
      lane.wake(this.#context.nowMs());
      this.#context.pump(lane);
    }
  }

  #wakeAt(lane: Lane, sequence: number, dueMs: number): void {
    this.#clock.set(dueMs, () => {
      if ((lane.dueMs(sequence) ?? Number.POSITIVE_INFINITY) > this.#context.nowMs()) return;
      lane.giveBack(sequence);
      this.#context.pump(lane);
    });
  }
}
