/**
 * A table of the journal: what lmdb has of it, and over that what is in the log alone so far. Owns the latter, in memory;
 * after a crash it is read from the log. Reads show what was committed, whichever of the two holds it.
 */
import type { Database, Key, RangeOptions } from 'lmdb';
import { idOf, type JournalKey, type Operation } from './journal-operation.ts';

export type Range<K> = {
  /** The first key; with `reverse` the largest. */
  readonly start?: K;
  /** The key to end before. */
  readonly end?: K;
  readonly reverse?: boolean;
  readonly limit?: number;
};

type Entry<K> = Operation & { readonly key: K };
type Entries<K> = Map<number | string, Entry<K>>;

export class JournalTable<K extends JournalKey> {
  readonly #db: Database<Buffer, Key>;
  readonly #table: number;
  readonly #onOperation: (operation: Operation) => void;
  /** What was committed since lmdb was last brought up to date. */
  #fresh: Entries<K> = new Map();
  /** What lmdb is being brought up to date with. */
  #frozen: Entries<K> = new Map();

  constructor(
    /** Position in `TABLE_NAMES`. */
    table: number,
    db: Database<Buffer, Key>,
    /** Takes what a commit is to do. */
    onOperation: (operation: Operation) => void,
  ) {
    this.#table = table;
    this.#db = db;
    this.#onOperation = onOperation;
  }

  /** Part of a commit; the buffer must not be changed any more. */
  put(key: K, value: Buffer): void {
    this.#onOperation({ table: this.#table, key, id: idOf(key), value });
  }

  /** Part of a commit. */
  remove(key: K): void {
    this.#onOperation({ table: this.#table, key, id: idOf(key), value: undefined });
  }

  /** The buffer must not be changed. */
  get(key: K): Buffer | undefined {
    const entry = this.#entry(key);
    return entry === undefined ? this.#db.get(key as Key) : entry.value;
  }

  doesExist(key: K): boolean {
    const entry = this.#entry(key);
    return entry === undefined ? this.#db.doesExist(key as Key) : entry.value !== undefined;
  }

  /** Entries in the order of their keys, as they were when the walk began. */
  getRange(range: Range<K> = {}): Generator<{ key: K; value: Buffer }> {
    return this.#walk(range, (options) => this.#db.getRange(options));
  }

  /** Keys alone. */
  *getKeys(range: Range<K> = {}): Generator<K> {
    const entries = (options: RangeOptions) =>
      this.#db.getKeys(options).map((key) => ({ key, value: THERE }));
    for (const { key } of this.#walk(range, entries)) yield key;
  }

  *#walk(
    range: Range<K>,
    open: (options: RangeOptions) => Iterable<{ key: Key; value: Buffer }>,
  ): Generator<{ key: K; value: Buffer }> {
    const over = this.#over(range);
    let left = range.limit ?? Number.POSITIVE_INFINITY;
    // Of what lmdb gives some may be removed since.
    const below = open(rangeOf(over.length === 0 ? range : { ...range, limit: undefined }));
    for (const { key, value } of merge<K>(below, over, range.reverse === true)) {
      if (value === undefined) continue;
      if (left === 0) return;
      left -= 1;
      yield { key, value };
    }
  }

  count(): number {
    let { entryCount } = this.#db.getStats() as { entryCount: number };
    for (const { key, value } of this.#latest())
      entryCount += Number(value !== undefined) - Number(this.#db.doesExist(key as Key));
    return entryCount;
  }

  /** A commit has made it so. */
  committed(operation: Operation): void {
    this.#fresh.set(operation.id, operation as Entry<K>);
  }

  /** From now on lmdb is brought up to date with what there is; it must have been with what was frozen before. */
  freeze(): void {
    this.#frozen = this.#fresh;
    this.#fresh = new Map();
  }

  /** Part of lmdb's commit. */
  writeFrozen(): void {
    for (const { key, value } of this.#frozen.values()) this.write(key, value);
  }

  /** Part of lmdb's commit. */
  write(key: K, value: Buffer | undefined): void {
    if (value === undefined) void this.#db.remove(key as Key);
    else void this.#db.put(key as Key, value);
  }

  /** After that commit. */
  thaw(): void {
    if (this.#frozen.size > 0) this.#frozen = new Map();
  }

  #entry(key: K): Entry<K> | undefined {
    if (this.#fresh.size === 0 && this.#frozen.size === 0) return undefined;
    const id = idOf(key);
    return this.#fresh.get(id) ?? this.#frozen.get(id);
  }

  #latest(): Iterable<Entry<K>> {
    if (this.#frozen.size === 0) return this.#fresh.values();
    return new Map([...this.#frozen, ...this.#fresh]).values();
  }

  /** What lies over lmdb within a range, in its order. */
  #over({ start, end, reverse = false }: Range<K>): Entry<K>[] {
    const found: Entry<K>[] = [];
    const sign = reverse ? -1 : 1;
    for (const entry of this.#latest()) {
      if (start !== undefined && sign * compare(entry.key, start) < 0) continue;
      if (end !== undefined && sign * compare(entry.key, end) >= 0) continue;
      found.push(entry);
    }
    return found.sort((a, b) => sign * compare(a.key, b.key));
  }
}

const THERE = Buffer.alloc(0);

/** The order of lmdb-js: texts by their bytes in UTF-8, which its own `compareKeys` does not heed. */
function compare(a: JournalKey, b: JournalKey): number {
  if (typeof a === 'number' || typeof b === 'number') return (a as number) - (b as number);
  if (typeof a === 'string' || typeof b === 'string')
    return a === b ? 0 : Buffer.compare(Buffer.from(a as string), Buffer.from(b as string));
  for (let i = 0; i < a.length; i += 1) {
    const order = compare(a[i] as JournalKey, b[i] as JournalKey);
    if (order !== 0) return order;
  }
  return 0;
}

/** Without what is undefined, which lmdb-js takes for a key. */
function rangeOf<K>({
  start,
  end,
  reverse,
  limit,
}: { [P in keyof Range<K>]?: Range<K>[P] | undefined }): RangeOptions {
  return {
    ...(start === undefined ? {} : { start: start as Key }),
    ...(end === undefined ? {} : { end: end as Key }),
    ...(reverse === undefined ? {} : { reverse }),
    ...(limit === undefined ? {} : { limit }),
  };
}

/** Merges two walks in the same order; of equal keys the entry of `over` counts. An abandoned walk ends the other. */
function* merge<K extends JournalKey>(
  below: Iterable<{ key: Key; value: Buffer }>,
  over: readonly Entry<K>[],
  reverse: boolean,
): Generator<{ key: K; value: Buffer | undefined }> {
  let i = 0;
  const sign = reverse ? -1 : 1;
  for (const entry of below as Iterable<{ key: K; value: Buffer }>) {
    let order = -1;
    for (; i < over.length; i += 1) {
      const other = over[i] as Entry<K>;
      order = sign * compare(entry.key, other.key);
      if (order < 0) break;
      yield other;
      if (order === 0) {
        i += 1;
        break;
      }
    }
    if (order !== 0) yield entry;
  }
  for (; i < over.length; i += 1) yield over[i] as Entry<K>;
}
