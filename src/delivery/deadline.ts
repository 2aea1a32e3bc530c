/**
 * The time limit and the stop signal of one attempt. An attempt takes one step after the other through `run`; a step
 * fails as soon as it has made no progress for `timeoutMs`, or the signal says stop, whatever its own promise does.
 * Owns one timer and one listener, both gone after `end`.
 */

/** No answer, or no progress, within the time given. */
export class DeadlineError extends Error {
  readonly step: string;
  readonly timeoutMs: number;

  constructor(step: string, timeoutMs: number) {
    super(`No progress within ${timeoutMs} ms (step: ${step})`);
    this.name = 'DeadlineError';
    this.step = step;
    this.timeoutMs = timeoutMs;
  }
}

/** The attempt was told to stop. */
export class StoppedError extends Error {
  constructor() {
    super('The delivery was stopped before it was done');
    this.name = 'StoppedError';
  }
}

/** Made once: a stack trace for each delivery would cost more than all else here. */
const ENDED = new StoppedError();

export class Deadline {
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #stop = () => this.#over(new StoppedError());
  #timer: NodeJS.Timeout | undefined;
  #step = '';
  #waiting = false;
  #fail: ((error: Error) => void) | undefined;
  #ended: Error | undefined;

  constructor(timeoutMs: number, signal?: AbortSignal) {
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
    if (signal?.aborted === true) this.#ended = new StoppedError();
    else signal?.addEventListener('abort', this.#stop, { once: true });
  }

  /** A step of the other side, which must make progress. One step at a time. */
  run<T>(step: string, work: () => Promise<T>): Promise<T> {
    return this.#race(step, true, work);
  }

  /** A step that may take as long as it likes, such as waiting for more of the payload; only the signal ends it. */
  wait<T>(step: string, work: () => Promise<T>): Promise<T> {
    return this.#race(step, false, work);
  }

  /**
   * Whether time counts within the step that runs: not while this side is the one that is waited for. Setting it to
   * true, again too, gives the step its whole time from now on.
   */
  set counting(counting: boolean) {
    this.#waiting = counting;
    if (counting) this.#arm();
  }

  get over(): boolean {
    return this.#ended !== undefined;
  }

  /** Further steps fail; timer and listener are gone. */
  end(): void {
    this.#ended ??= ENDED;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#stop);
  }

  #race<T>(step: string, counting: boolean, work: () => Promise<T>): Promise<T> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise<T>((resolve, reject) => {
      this.#step = step;
      this.#fail = reject;
      this.counting = counting;
      const over = () => {
        this.#fail = undefined;
        this.#waiting = false;
      };
      work().then(
        (value) => {
          over();
          resolve(value);
        },
        (error: unknown) => {
          over();
          reject(error);
        },
      );
    });
  }

  #arm(): void {
    if (this.#timer !== undefined) this.#timer.refresh();
    else this.#timer = setTimeout(() => this.#expire(), this.#timeoutMs);
  }

  #expire(): void {
    if (this.#waiting) this.#over(new DeadlineError(this.#step, this.#timeoutMs));
  }

  #over(error: Error): void {
    this.#ended ??= error;
    this.#fail?.(this.#ended);
  }
}
