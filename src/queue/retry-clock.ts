/**
 * Wakes things at their time with one timer, however many wait. Their times are those of the machine's clock, which may
 * be set while they wait: whoever owns the alarms is told then, since none of their times means anything any more.
 */

type Alarm = { readonly dueMs: number; readonly ring: () => void };

/** So often it is looked whether the clock was set. */
const LOOK_EVERY_MS = 15_000;
/** What clocks may drift apart between two looks. */
const DRIFT_MS = 2000;

export class RetryClock {
  readonly #nowMs: () => number;
  readonly #steadyMs: () => number;
  readonly #onClockSet: () => void;
  /** What the machine's clock is ahead of the steady one. */
  #aheadMs: number;
  /** A binary heap, the earliest alarm first. */
  readonly #alarms: Alarm[] = [];
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = Number.POSITIVE_INFINITY;
  #stopped = false;

  /** `steadyMs` is a clock that nobody sets. */
  constructor(
    nowMs: () => number,
    steadyMs: () => number = () => performance.now(),
    onClockSet: () => void = () => undefined,
  ) {
    this.#nowMs = nowMs;
    this.#steadyMs = steadyMs;
    this.#onClockSet = onClockSet;
    this.#aheadMs = nowMs() - steadyMs();
  }

  /** Calls `ring` once, at `dueMs` or soon after. An alarm is not taken back: `ring` looks whether it still matters. */
  set(dueMs: number, ring: () => void): void {
    if (this.#stopped) return;
    const alarms = this.#alarms;
    // While nothing waits nobody looks.
    if (alarms.length === 0) this.#aheadMs = this.#nowMs() - this.#steadyMs();
    let index = alarms.push({ dueMs, ring }) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if ((alarms[parent] as Alarm).dueMs <= (alarms[index] as Alarm).dueMs) break;
      this.#swap(parent, index);
      index = parent;
    }
    this.#arm();
  }

  /** No alarm rings any more. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#alarms.length = 0;
    this.#timerDueMs = Number.POSITIVE_INFINITY;
  }

  #arm(): void {
    const first = this.#alarms[0];
    if (first === undefined || first.dueMs >= this.#timerDueMs) return;
    clearTimeout(this.#timer);
    this.#timerDueMs = first.dueMs;
    const delayMs = Math.min(Math.max(0, first.dueMs - this.#nowMs()), LOOK_EVERY_MS);
    this.#timer = setTimeout(() => this.#ring(), delayMs);
  }

  #ring(): void {
    this.#timerDueMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#nowMs();
    const aheadMs = nowMs - this.#steadyMs();
    if (Math.abs(aheadMs - this.#aheadMs) > DRIFT_MS) this.#onClockSet();
    this.#aheadMs = aheadMs;
    for (let first = this.#alarms[0]; first !== undefined && first.dueMs <= nowMs; first = this.#alarms[0]) {
      this.#dropFirst();
      first.ring();
    }
    this.#arm();
  }

  #dropFirst(): void {
    const alarms = this.#alarms;
    const last = alarms.pop() as Alarm;
    if (alarms.length === 0) return;
    alarms[0] = last;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      if (left >= alarms.length) return;
      const right = left + 1;
      const child =
        right < alarms.length && (alarms[right] as Alarm).dueMs < (alarms[left] as Alarm).dueMs
          ? right
          : left;
      if ((alarms[index] as Alarm).dueMs <= (alarms[child] as Alarm).dueMs) return;
      this.#swap(index, child);
      index = child;
    }
  }

  #swap(a: number, b: number): void {
    const alarms = this.#alarms;
    const kept = alarms[a] as Alarm;
    alarms[a] = alarms[b] as Alarm;
    alarms[b] = kept;
  }
}
