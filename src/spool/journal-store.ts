/**
 * Where the journal keeps its tables: in lmdb, and until lmdb has it in a log. It owns both, and promises that what a
 * commit did is there whole or not at all, and on stable storage when its promise resolves. A commit costs one short
 * write into the log; lmdb is brought up to date with many of them together, with their last state alone: what is put and
 * soon removed again, such as the note of a temporary file, it mostly never learns of. Without a log, because there is no
 * room for one, and for what is too large for it, a commit goes to lmdb at once.
 *
 * After a crash lmdb opens at its last commit, which says up to which record of the log it has everything (`applied` in
 * `meta`, beside `log`, the salt of those records); the records after that are written to lmdb at the next start. They only say what a key's value is, so to write
 * some of them a second time changes nothing.
 */
import { trace } from '../base/trace.ts';
import { CodedError } from '../errors.ts';
import type { Ballast } from './ballast.ts';
import { COMMIT_BYTES, costOf, type Load, NO_LOAD, sumOf } from './journal-cost.ts';
import { checkFormat, FORMAT } from './journal-format.ts';
import { type JournalKey, type Operation, TABLE_NAMES, type TableName } from './journal-operation.ts';
import { JournalTable } from './journal-table.ts';
import { JournalTree } from './journal-tree.ts';
import { readPortions } from './log-recovery.ts';
import { decodeNumber, encodeNumbers } from './number-codec.ts';
import { WriteAheadLog } from './write-ahead-log.ts';

/** Longest time that something stays in the log alone. */
const CHECKPOINT_MS = 500;
/** What lmdb may write at most, so that little room has to be kept for it. */
const CHECKPOINT_BYTES = 16 << 20;

export type StoreOptions = {
  readonly ballast: Ballast;
  /** False: no log is made; one that is there is read. */
  readonly log: boolean;
  /** lmdb could not be brought up to date; it is tried again. */
  readonly onCheckpointFailed: (error: Error) => void;
};

export class JournalStore {
  readonly #tree: JournalTree;
  readonly #ballast: Ballast;
  readonly #tables: readonly JournalTable<JournalKey>[];
  readonly #onCheckpointFailed: (error: Error) => void;
  #log: WriteAheadLog | undefined;
  /** What the commit that is being filled does. */
  #operations: Operation[] = [];
  /** The last record of the log that was begun. */
  #number: number;
  /** And the last one whose operations the tables have frozen, or lmdb has. */
  #frozenNumber: number;
  #isFrozen = false;
  /** A record whose write has failed: it may be on the disk or not, so nothing may follow it there. */
  #failedNumber = 0;
  /** lmdb has everything up to this record. */
  #appliedNumber: number;
  #fresh = NO_LOAD;
  #frozen = NO_LOAD;
  #appending: Promise<void> | undefined;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  private constructor(tree: JournalTree, options: StoreOptions) {
    this.#tree = tree;
    this.#ballast = options.ballast;
    this.#onCheckpointFailed = options.onCheckpointFailed;
    this.#tables = TABLE_NAMES.map((name, table) => {
      return new JournalTable(table, tree.db(name), (operation) => this.#operations.push(operation));
    });
    const applied = this.table<string>('meta').get('applied');
    this.#appliedNumber = applied === undefined ? 0 : decodeNumber(applied);
    this.#number = this.#appliedNumber;
    this.#frozenNumber = this.#appliedNumber;
  }

  static async open(directory: string, options: StoreOptions): Promise<JournalStore> {
    const tree = await JournalTree.open(directory);
    const store = new JournalStore(tree, options);
    try {
      checkFormat(store.table<string>('meta').get('format'));
      await store.#recover(directory);
      if (options.log) await store.#openLog(directory);
      return store;
    } catch (error) {
      // After an error of the disk lmdb's own close would wait for ever.
      if (error instanceof CodedError) await tree.close();
      throw error;
    }
  }

  table<K extends JournalKey>(name: TableName): JournalTable<K> {
    return this.#tables[TABLE_NAMES.indexOf(name)] as unknown as JournalTable<K>;
  }

  /** Bytes that lmdb may write, at most, for what is in the log alone and for `more`. */
  costWith(more: Load): number {
    const frozenBytes = this.#isFrozen ? costOf(this.#frozen) : 0;
    return frozenBytes + costOf(sumOf(this.#fresh, more));
  }

  /** Whether lmdb lacks nothing. */
  get isUpToDate(): boolean {
    return this.#appliedNumber === this.#number;
  }

  /** Commits so far, for tests. */
  get commits(): number {
    return this.#number;
  }

  /** Resolves to the bytes that lmdb can write now: `wantedBytes` or more, less only on a full disk. */
  provide(wantedBytes: number): Promise<number> {
    return this.#tree.provide(wantedBytes);
  }

  /** What `fill` puts and removes, in one commit; never two at a time. When it rejects, nothing of it can be read. */
  async commit(fill: () => void, load: Load): Promise<void> {
    const operations = this.#collect(fill);
    if (operations.length === 0) return;
    const log = this.#log;
    const mayAppend = this.#failedNumber <= this.#appliedNumber;
    if (log === undefined || !mayAppend || !log.prepare(this.#number + 1, operations)) {
      await this.#exclusively(() => this.#bringUp(operations));
      return;
    }
    if (!log.hasRoom) await this.#turnLog();
    this.#appending = this.#append(log, operations, load);
    try {
      await this.#appending;
    } finally {
      this.#appending = undefined;
    }
    if (log.fill > 0.5 || costOf(this.#fresh) > CHECKPOINT_BYTES) this.#begin();
    else this.#schedule();
  }

  /** Brings lmdb up to date. */
  async checkpoint(): Promise<void> {
    await this.#exclusively(() => this.#bringUp());
  }

  /** Lets go of everything. What lmdb could not be told stays in the log. */
  async close(): Promise<void> {
    try {
      await this.checkpoint();
    } catch (error) {
      if (!this.#ballast.isDiskFull(error as Error)) {
        await this.abandon();
        throw error;
      }
    }
    await this.abandon();
    await this.#tree.close();
  }

  /** The same without lmdb, which after an error of the disk would wait for ever. */
  async abandon(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#running?.catch(() => undefined);
    await this.#tree.settled();
    this.#log?.close();
    this.#log = undefined;
  }

  async #append(log: WriteAheadLog, operations: readonly Operation[], load: Load): Promise<void> {
    this.#number += 1;
    try {
      await log.append();
    } catch (error) {
      this.#failedNumber = this.#number;
      throw error;
    }
    trace('logged', this.#number);
    for (const operation of operations) this.#tables[operation.table]?.committed(operation);
    this.#fresh = sumOf(this.#fresh, load);
  }

  #collect(fill: () => void): Operation[] {
    this.#operations = [];
    fill();
    const operations = this.#operations;
    this.#operations = [];
    return operations;
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#begin();
    }, CHECKPOINT_MS).unref();
  }

  /** Begins to bring lmdb up to date unless that is under way. */
  #begin(): void {
    if (this.#running !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#run(() => this.#bringUp()).catch((error: Error) => {
      this.#onCheckpointFailed(error);
      if (this.#log !== undefined) this.#schedule();
    });
  }

  /** The file of the log is full. The other is free once lmdb has everything that was frozen. */
  async #turnLog(): Promise<void> {
    while (this.#running !== undefined) await this.#running.catch(() => undefined);
    if (this.#isFrozen) await this.#exclusively(() => this.#writeFrozen());
    this.#begin();
  }

  async #exclusively(work: () => Promise<void>): Promise<void> {
    while (this.#running !== undefined) await this.#running.catch(() => undefined);
    await this.#run(work);
  }

  async #run(work: () => Promise<void>): Promise<void> {
    this.#running = work();
    try {
      await this.#running;
    } finally {
      this.#running = undefined;
    }
  }

  /** Writes to lmdb what it lacks, and in the same commit `also`. */
  async #bringUp(also: readonly Operation[] = []): Promise<void> {
    // What one that failed has left.
    if (this.#isFrozen) await this.#writeFrozen();
    // What is just being written into the log belongs to the tables only then.
    while (this.#appending !== undefined) await this.#appending.catch(() => undefined);
    if (this.#number === this.#frozenNumber && also.length === 0) return;
    for (const table of this.#tables) table.freeze();
    this.#log?.turn();
    this.#isFrozen = true;
    this.#frozenNumber = this.#number;
    this.#frozen = this.#fresh;
    this.#fresh = NO_LOAD;
    await this.#writeFrozen(also);
  }

  async #writeFrozen(also: readonly Operation[] = []): Promise<void> {
    trace('before-checkpoint', this.#frozenNumber);
    await this.#writeTree(this.#frozenNumber, () => {
      for (const table of this.#tables) table.writeFrozen();
      for (const { table, key, value } of also) this.#tables[table]?.write(key, value);
    });
    trace('after-checkpoint', this.#frozenNumber);
    for (const table of this.#tables) table.thaw();
    this.#isFrozen = false;
    this.#frozen = NO_LOAD;
  }

  /** One commit of lmdb, which then has everything up to a record of the log. */
  async #writeTree(number: number, fill: () => void): Promise<void> {
    await this.#tree.commit(() => {
      fill();
      this.table<string>('meta').write('applied', encodeNumbers(number));
    });
    this.#appliedNumber = number;
  }

  async #recover(directory: string): Promise<void> {
    const salt = this.table<string>('meta').get('log');
    if (salt === undefined) return;
    for (const { operations, bytes, number } of readPortions(directory, salt, this.#appliedNumber)) {
      if ((await this.provide(bytes)) < bytes) await this.#ballast.throwOff();
      if ((await this.provide(bytes)) < bytes)
        throw new CodedError(
          'disk_low',
          'The disk of the daemon is full; make room there, then start it again',
        );
      await this.#writeTree(number, () => {
        for (const { table, key, value } of operations) this.#tables[table]?.write(key, value);
      });
    }
    this.#number = this.#appliedNumber;
    this.#frozenNumber = this.#appliedNumber;
  }

  async #openLog(directory: string): Promise<void> {
    const meta = this.table<string>('meta');
    const salt = WriteAheadLog.drawSalt();
    if ((await this.provide(COMMIT_BYTES)) < COMMIT_BYTES) return;
    let log: WriteAheadLog | undefined;
    try {
      log = await WriteAheadLog.open(directory, salt);
      await this.#writeTree(this.#number, () => {
        meta.write('log', salt);
        // A program that knows of no log must not open what has one.
        meta.write('format', Buffer.from(FORMAT));
      });
      this.#log = log;
    } catch (error) {
      log?.close();
      // On a full disk the journal works without.
      if (!this.#ballast.isDiskFull(error as Error)) throw error;
    }
  }
}
