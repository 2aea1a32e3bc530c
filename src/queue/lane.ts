/**
 * One lane: the jobs of one instance. It owns which of them may run now and promises the order: of jobs that may write
 * the same file only the first unfinished one runs, and a barrier parts all before it from all after it. The journal keeps all jobs of the lane; the lane takes a job up
 * ("pulls" it) only when it could run, so a long queue costs nothing here. Nothing of it needs to survive a crash.
 */
import { OrderedNumbers } from '../base/ordered-numbers.ts';

export type PulledJob = {
  readonly sequence: number;
  /** See `pathKeys`. */
  readonly keys: readonly number[];
  /** Small enough to travel together with others. */
  readonly small: boolean;
  /** It runs after all earlier jobs, before all later ones, and alone. */
  readonly barrier?: boolean;
  /** Milliseconds since 1970 before which it must not run; 0 for none. */
  readonly notBeforeMs: number;
};

/** `claimed` jobs are about to end without an attempt. */
type Phase = 'waiting' | 'runnable' | 'active' | 'deferred' | 'claimed';
type Entry = PulledJob & { phase: Phase; dueMs: number };

export type LaneSource = {
  /** The smallest unfinished sequence of the lane after `sequence`. */
  after(sequence: number): number | undefined;
  /** What the lane must know of a job; undefined when it is gone or unreadable, which the source then deals with. */
  pull(sequence: number): PulledJob | undefined;
  /** A job was pulled that must not run before `dueMs`: somebody has to give it back then. */
  onDeferred(sequence: number, dueMs: number): void;
};

export class Lane {
  readonly name: string;
  readonly #source: LaneSource;
  #cursor = 0;
  readonly #entries = new Map<number, Entry>();
  /** For each key the unfinished pulled jobs that have it, first come first. */
  readonly #chains = new Map<number, Entry[]>();
  readonly #runnable = new OrderedNumbers();
  /** Unfinished pulled jobs that stand between all others. */
  readonly #barriers = new Set<Entry>();
  /** Jobs not pulled yet that run without delay when they are. */
  readonly #hurried = new Set<number>();
  #noDelays = false;
  /** Units handed out and not ended yet. */
  running = 0;
  /** Set after a failure that concerns the whole instance: nothing runs before. 0 when the lane is open. */
  pausedUntilMs = 0;
  /** When something said last that the instance takes files again, in milliseconds since 1970. */
  wokenAtMs = 0;
  /** After a pause one job goes first; the others follow when it got through. */
  probing = false;

  constructor(name: string, source: LaneSource) {
    this.name = name;
    this.#source = source;
  }

  /**
   * The next jobs to run together: one, or up to `limit` small ones of different files. Empty when none may run now.
   * They are active until `finish`, `defer` or `giveBack`.
   */
  take(limit: number, nowMs: number): number[] {
    if (nowMs < this.pausedUntilMs || (this.probing && this.running > 0)) return [];
    const taken: number[] = [];
    const most = this.probing ? 1 : limit;
    while (taken.length < most) {
      const entry = this.#nextRunnable(nowMs);
      if (entry === undefined) break;
      if (taken.length > 0 && !entry.small) break;
      this.#runnable.delete(entry.sequence);
      entry.phase = 'active';
      taken.push(entry.sequence);
      if (!entry.small) break;
    }
    return taken;
  }

  /** Whether `take` would give something, were the lane open. */
  hasWork(nowMs: number): boolean {
    return this.#nextRunnable(nowMs) !== undefined;
  }

  /** Pulled jobs of a phase. */
  phaseOf(sequence: number): Phase | undefined {
    return this.#entries.get(sequence)?.phase;
  }

  /** When a deferred job may run again. */
  dueMs(sequence: number): number | undefined {
    const entry = this.#entries.get(sequence);
    return entry?.phase === 'deferred' ? entry.dueMs : undefined;
  }

  /** The job is finished, or is no job any more: whoever waited for its files may go on. */
  finish(sequence: number): void {
    const entry = this.#entries.get(sequence);
    if (entry === undefined) return;
    this.#entries.delete(sequence);
    this.#runnable.delete(sequence);
    for (const key of entry.keys) {
      const chain = this.#chains.get(key);
      if (chain === undefined) continue;
      removeFrom(chain, entry);
      if (chain.length === 0) this.#chains.delete(key);
    }
    this.#wakeHeads(entry);
    if (this.#barriers.delete(entry)) this.#wakeWaiting();
  }

  /** The job keeps its place before others of its files, and runs again at `dueMs`. */
  defer(sequence: number, dueMs: number): void {
    const entry = this.#entries.get(sequence);
    if (entry === undefined) return;
    this.#runnable.delete(sequence);
    const wasActive = entry.phase === 'active';
    entry.phase = 'deferred';
    entry.dueMs = dueMs;
    if (wasActive) this.#stepBack(entry);
  }

  /** An active or deferred job may run at once. */
  giveBack(sequence: number): void {
    const entry = this.#entries.get(sequence);
    if (entry === undefined || entry.phase === 'waiting') return;
    const wasActive = entry.phase === 'active';
    this.#makeRunnable(entry);
    if (wasActive) this.#stepBack(entry);
  }

  /** A deferred job may run at once, also when it is not pulled yet. */
  hurry(sequence: number): void {
    if (this.#entries.has(sequence)) this.giveBack(sequence);
    else this.#hurried.add(sequence);
  }

  /** All jobs that are deferred now may run at once. */
  wake(nowMs: number): void {
    this.wokenAtMs = nowMs;
    // What is not pulled yet was deferred in an earlier run, which is before now.
    this.#noDelays = true;
    for (const entry of this.#entries.values()) if (entry.phase === 'deferred') this.#makeRunnable(entry);
  }

  /**
   * Takes one certain job out of turn, whatever it waits for, to end it without an attempt. Returns false when it is
   * active or claimed already.
   */
  claim(sequence: number): boolean {
    if (!this.#entries.has(sequence)) this.#admit(sequence);
    const entry = this.#entries.get(sequence);
    if (entry === undefined || entry.phase === 'active' || entry.phase === 'claimed') return false;
    this.#runnable.delete(sequence);
    entry.phase = 'claimed';
    return true;
  }

  /** Whether nothing of the lane stands before a new job for these files, nor is left to be pulled. */
  isClearFor(keys: readonly number[], nowMs: number): boolean {
    if (nowMs < this.pausedUntilMs || this.probing || this.#runnable.size + this.#barriers.size > 0)
      return false;
    return this.#source.after(this.#cursor) === undefined && keys.every((key) => !this.#chains.has(key));
  }

  /** Makes a job that was just accepted active, unless another job for its files is unfinished. */
  adopt(sequence: number): boolean {
    // Earlier ones may have come meanwhile, and a full lane pulls nothing.
    for (let next = this.#source.after(this.#cursor); next !== undefined && next < sequence; ) {
      this.#cursor = next;
      if (!this.#entries.has(next)) this.#admit(next);
      next = this.#source.after(next);
    }
    if (!this.#entries.has(sequence)) this.#admit(sequence);
    // All before it is taken up: what is committed late is not left to its turn, see `readmit`.
    this.#cursor = Math.max(this.#cursor, sequence);
    const entry = this.#entries.get(sequence);
    if (entry?.phase !== 'runnable') return false;
    this.#runnable.delete(sequence);
    entry.phase = 'active';
    return true;
  }

  /** Takes up a job that became unfinished, or unfinished again, at a place that the lane has already passed. */
  readmit(sequence: number): void {
    if (sequence <= this.#cursor && !this.#entries.has(sequence)) this.#admit(sequence);
  }

  #nextRunnable(nowMs: number): Entry | undefined {
    for (;;) {
      const first = this.#runnable.first();
      if (first !== undefined) return this.#entries.get(first);
      const next = this.#source.after(this.#cursor);
      if (next === undefined) return undefined;
      // What stands behind a barrier cannot run, so it is not taken up either.
      for (const { sequence } of this.#barriers) if (sequence < next) return undefined;
      this.#cursor = next;
      if (!this.#entries.has(next)) this.#admit(next, nowMs);
      // A barrier that was taken up out of turn may have waited for this one alone.
      if (this.#barriers.size > 0) this.#wakeWaiting();
    }
  }

  #admit(sequence: number, nowMs = 0): void {
    const job = this.#source.pull(sequence);
    if (job === undefined) return;
    const isHurried = this.#hurried.delete(sequence) || this.#noDelays;
    const entry: Entry = { ...job, phase: 'waiting', dueMs: isHurried ? 0 : job.notBeforeMs };
    this.#entries.set(sequence, entry);
    for (const key of entry.keys) {
      const chain = this.#chains.get(key);
      if (chain === undefined) this.#chains.set(key, [entry]);
      else this.#insert(chain, entry);
    }
    if (entry.barrier === true) this.#barriers.add(entry);
    this.#holdBack(entry);
    if (entry.dueMs > nowMs) {
      entry.phase = 'deferred';
      this.#source.onDeferred(sequence, entry.dueMs);
    } else if (this.#isFirst(entry)) this.#makeRunnable(entry);
  }

  /** A job that runs no more takes its place in the order: an earlier one may have been taken up again behind it. */
  #stepBack(entry: Entry): void {
    for (const key of entry.keys) {
      const chain = this.#chains.get(key);
      const second = chain?.[1];
      if (chain === undefined || second === undefined || second.sequence > entry.sequence) continue;
      removeFrom(chain, entry);
      this.#insert(chain, entry);
      if (entry.phase === 'runnable') {
        entry.phase = 'waiting';
        this.#runnable.delete(entry.sequence);
      }
    }
    this.#wakeHeads(entry);
  }

  /** The first jobs of an entry's files that waited for nothing else may run. */
  #wakeHeads(entry: Entry): void {
    for (const key of entry.keys) {
      const head = this.#chains.get(key)?.[0];
      if (head?.phase === 'waiting' && this.#isFirst(head)) this.#makeRunnable(head);
    }
    if (this.#barriers.size > 0) this.#wakeWaiting();
  }

  #wakeWaiting(): void {
    for (const entry of this.#entries.values()) if (entry.phase === 'waiting') this.#makeRunnable(entry);
  }

  /** What may run no more, now that an earlier job was taken up late, waits again. */
  #holdBack(entry: Entry): void {
    for (const other of entry.barrier === true ? this.#entries.values() : this.#barriers) {
      if (other.phase !== 'runnable' || other.sequence < entry.sequence) continue;
      other.phase = 'waiting';
      this.#runnable.delete(other.sequence);
    }
  }

  #isFirst(entry: Entry): boolean {
    return entry.keys.every((key) => this.#chains.get(key)?.[0] === entry) && !this.#isBarred(entry);
  }

  #isBarred(entry: Entry): boolean {
    for (const other of entry.barrier === true ? this.#entries.values() : this.#barriers) {
      if (other !== entry && (other.sequence < entry.sequence || other.phase === 'active')) return true;
    }
    return entry.barrier === true && (this.#source.after(this.#cursor) ?? entry.sequence) < entry.sequence;
  }

  #makeRunnable(entry: Entry): void {
    if (!this.#isFirst(entry)) {
      entry.phase = 'waiting';
      return;
    }
    entry.phase = 'runnable';
    this.#runnable.add(entry.sequence);
  }

  /** Keeps a chain in order of acceptance, but never puts a job before one that is being delivered. */
  #insert(chain: Entry[], entry: Entry): void {
    let index = chain.length;
    for (; index > 0; index -= 1) {
      const other = chain[index - 1] as Entry;
      if (other.sequence < entry.sequence || other.phase === 'active') break;
      if (other.phase === 'runnable') {
        other.phase = 'waiting';
        this.#runnable.delete(other.sequence);
      }
    }
    chain.splice(index, 0, entry);
  }
}

/** Mostly the first one leaves, and a chain may be as long as the queue. */
function removeFrom(chain: Entry[], entry: Entry): void {
  if (chain[0] === entry) chain.shift();
  else chain.splice(chain.indexOf(entry), 1);
}
