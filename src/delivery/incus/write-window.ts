/**
 * The writes of one file that are under way: at most `limit`, the first failure ends all waiting. One waiter at a
 * time. Keeps no promise longer than it is needed, so that a file of any size costs the same memory.
 */
export class WriteWindow {
  readonly #limit: number;
  #inFlight = 0;
  #failure: { readonly error: unknown } | undefined;
  #waiter: { readonly mayHave: number; resolve: () => void; reject: (error: unknown) => void } | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  add(write: Promise<void>, confirmed: () => void): void {
    this.#inFlight += 1;
    write.then(
      () => {
        this.#inFlight -= 1;
        if (this.#failure === undefined) confirmed();
        this.#wake();
      },
      (error: unknown) => this.fail(error),
    );
  }

  /** Ends whoever waits, and all who will. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  /** Resolves when one more write may start. */
  room(): Promise<void> {
    return this.#until(this.#limit - 1);
  }

  /** Resolves when every write is confirmed. */
  empty(): Promise<void> {
    return this.#until(0);
  }

  /** The result of other work, unless a write fails meanwhile. */
  during<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiter = { mayHave: -1, resolve: () => {}, reject };
      this.#wake();
      work.then(resolve, reject);
    });
  }

  #until(mayHave: number): Promise<void> {
    if (this.#failure === undefined && this.#inFlight <= mayHave) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiter = { mayHave, resolve, reject };
      this.#wake();
    });
  }

  #wake(): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    if (this.#failure !== undefined) waiter.reject(this.#failure.error);
    else if (this.#inFlight <= waiter.mayHave) waiter.resolve();
    else return;
    this.#waiter = undefined;
  }
}
