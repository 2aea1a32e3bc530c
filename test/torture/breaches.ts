/** What broke the promise, one line each. */
export class Breaches {
  readonly #lines = new Map<string, number>();
  readonly #onFirst: (line: string) => void;

  constructor(onFirst: (line: string) => void) {
    this.#onFirst = onFirst;
  }

  add(line: string): void {
    const seen = this.#lines.get(line) ?? 0;
    this.#lines.set(line, seen + 1);
    if (seen === 0) this.#onFirst(line);
  }

  get count(): number {
    return this.#lines.size;
  }

  lines(): string[] {
    return [...this.#lines].map(([line, times]) => (times === 1 ? line : `${line} (${times} times)`));
  }
}
