/**
 * How long a commit waits for the clients that the one before has answered. They mostly send the next file at once, and
 * need some turns of the event loop for it. A commit that does not wait leaves them to the one after it: twice as many
 * commits, each half as large (PostgreSQL's commit_delay is the same thought). Owns nothing, promises nothing.
 */

/** The part of the last commit's time that is spent on waiting, and at most how long. */
const SHARE = 1 / 4;
const MOST_WAIT_MS = 2;
/** Who has not come back by then sends at times of its own. */
const RETURN_MS = 20;

export class ReturningClients {
  readonly #nowMs: () => number;
  #clients = 0;
  #waitingToo = 0;
  #commitMs = 0;
  #answeredAtMs = 0;

  /** `nowMs`: a clock that is never set. */
  constructor(nowMs = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** A commit that took `commitMs` milliseconds has answered so many clients, while so many others began to wait. */
  answered(clients: number, waiting: number, commitMs: number): void {
    this.#clients = clients;
    this.#waitingToo = waiting;
    this.#commitMs = commitMs;
    this.#answeredAtMs = this.#nowMs();
  }

  /** Resolves when all of those wait, by the number that `countWaiting` tells, or when the time is over. */
  async wait(countWaiting: () => number): Promise<void> {
    const startMs = this.#nowMs();
    if (this.#clients < 2 || startMs - this.#answeredAtMs > RETURN_MS) return;
    const untilMs = startMs + Math.min(this.#commitMs * SHARE, MOST_WAIT_MS);
    const all = this.#clients + this.#waitingToo;
    while (countWaiting() < all && this.#nowMs() < untilMs) await nextTurn();
  }
}

/** Once more through what the event loop has at hand. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
