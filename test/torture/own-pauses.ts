/** When this process itself got no time: what its clients did not send then is no fault of the daemon's. */

const LOOK_EVERY_MS = 100;
const KEPT = 1000;

export class OwnPauses {
  readonly #pauses: { readonly endedAtMs: number; readonly ms: number }[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor() {
    let lastMs = performance.now();
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      const ms = nowMs - lastMs - LOOK_EVERY_MS;
      lastMs = nowMs;
      if (ms < LOOK_EVERY_MS) return;
      this.#pauses.push({ endedAtMs: Date.now(), ms });
      if (this.#pauses.length > KEPT) this.#pauses.shift();
    }, LOOK_EVERY_MS).unref();
  }

  /** How much of the time since then it got nothing, in all. */
  sinceMs(fromMs: number): number {
    let sum = 0;
    for (const { endedAtMs, ms } of this.#pauses) if (endedAtMs >= fromMs) sum += ms;
    return sum;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
