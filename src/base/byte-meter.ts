/**
 * Bytes seen so far and their smoothed rate. The rate is an exponential average over about `windowMs`, so that a
 * line drawn from it does not jump. The clock is the caller's, in milliseconds.
 */
export class ByteMeter {
  readonly #windowMs: number;
  readonly #startedAtMs: number;
  #bytes = 0;
  #rate = 0;
  #sampledAtMs: number;
  #sampledBytes = 0;

  constructor(nowMs: number, windowMs = 3000) {
    this.#windowMs = windowMs;
    this.#startedAtMs = nowMs;
    this.#sampledAtMs = nowMs;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Bytes a second. */
  rate(nowMs: number): number {
    const elapsedMs = nowMs - this.#sampledAtMs;
    if (elapsedMs >= 100) {
      const instant = ((this.#bytes - this.#sampledBytes) * 1000) / elapsedMs;
      const first = this.#sampledAtMs === this.#startedAtMs;
      const weight = first ? 1 : 1 - Math.exp(-elapsedMs / this.#windowMs);
      this.#rate += (instant - this.#rate) * weight;
      this.#sampledAtMs = nowMs;
      this.#sampledBytes = this.#bytes;
    }
    return this.#rate;
  }

  /** Milliseconds until `totalBytes` are reached at the present rate, or undefined when that cannot be told. */
  timeLeftMs(totalBytes: number, nowMs: number): number | undefined {
    const rate = this.rate(nowMs);
    return rate > 0 ? Math.max(0, ((totalBytes - this.#bytes) * 1000) / rate) : undefined;
  }
}
