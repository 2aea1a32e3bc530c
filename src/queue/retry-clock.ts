/** Wakes things at their time with one timer, however many wait. */

type Alarm = { readonly dueMs: number; readonly ring: () => void };

/** Node clamps longer timers to 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class RetryClock {
  readonly #nowMs: () => number;
  /** A binary heap, the earliest alarm first. */
  readonly #alarms: Alarm[] = [];
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = Number.POSITIVE_INFINITY;
  #stopped = false;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Calls `ring` once, at `dueMs` or soon after. An alarm is not taken back: `ring` looks whether it still matters. */
  set(dueMs: number, ring: () => void): void {
    if (this.#stopped) return;
    const alarms = this.#alarms;
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
    const delayMs = Math.min(Math.max(0, first.dueMs - this.#nowMs()), LONGEST_TIMER_MS);
    this.#timer = setTimeout(() => this.#ring(), delayMs);
  }

  #ring(): void {
    this.#timerDueMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#nowMs();
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
