/**
 * Tasks that are under way at once: at most so many, and not many more bytes than allowed. The first failure ends all
 * waiting. One waiter at a time.
 */
export class TaskWindow {
  readonly #maxTasks: number;
  readonly #maxBytes: number;
  #tasks = 0;
  #bytes = 0;
  #failure: { readonly error: unknown } | undefined;
  #waiter:
    | { readonly isDue: () => boolean; resolve: () => void; reject: (error: unknown) => void }
    | undefined;
  #settled: (() => void) | undefined;

  constructor(maxTasks: number, maxBytes: number) {
    this.#maxTasks = maxTasks;
    this.#maxBytes = maxBytes;
  }

  add(bytes: number, task: Promise<void>): void {
    this.#tasks += 1;
    this.#bytes += bytes;
    const over = () => {
      this.#tasks -= 1;
      this.#bytes -= bytes;
      this.#wake();
    };
    task.then(over, (error: unknown) => {
      this.#failure ??= { error };
      over();
    });
  }

  /** Resolves when one more task may start. */
  room(): Promise<void> {
    return this.#until(() => this.#tasks < this.#maxTasks && this.#bytes < this.#maxBytes);
  }

  /** Resolves when no task is under way. */
  empty(): Promise<void> {
    return this.#until(() => this.#tasks === 0);
  }

  /** Resolves when no task is under way, whatever became of them. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#settled = resolve;
      this.#wake();
    });
  }

  #until(isDue: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiter = { isDue, resolve, reject };
      this.#wake();
    });
  }

  #wake(): void {
    if (this.#tasks === 0) this.#settled?.();
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    if (this.#failure !== undefined) waiter.reject(this.#failure.error);
    else if (waiter.isDue()) waiter.resolve();
    else return;
    this.#waiter = undefined;
  }
}
