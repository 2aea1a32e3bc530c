/**
 * The journal: the truth about every job, in tables that a `JournalStore` keeps. It owns their names and promises that what
 * is written by one `write` is there whole or not at all, and on stable storage when its promise resolves, through kill -9
 * and power cuts. After a crash it opens at the last commit; there is nothing to repair.
 *
 * Tables, by key:
 *   jobs        sequence            the job's record (JSON, `encodeJobRecord`)
 *   payloads    sequence            bytes of a small payload
 *   live        sequence            unfinished jobs: lane, earliest next attempt, payload file (`encodeLive`)
 *   delivered, failed, cancelled   sequence    time it finished, payload file
 *   instances   [instance, project, sequence]   finished jobs of an instance
 *   paths       path key            the latest sequence delivered to that file
 *   keys        idempotency key     sequence
 *   temporaries [sequence, name]    files that an attempt may have left in an instance (JSON)
 *   batches     [batch, 0], [batch, sequence]   payloads that jobs share, see `SharedPayloads`
 *   linger      [time, sequence]    payloads of delivered jobs that are kept until then: payload file, its bytes
 *   meta        name                format, run number, boot id, last number that was given out
 */
import { CodedError, messageOf } from '../errors.ts';
import type { Ballast } from './ballast.ts';
import { costOf, type Load } from './journal-cost.ts';
import { JournalStore } from './journal-store.ts';
import type { JournalTable } from './journal-table.ts';
import { nextTurn, ReturningClients } from './returning-clients.ts';

export type Table = JournalTable<number>;

type Waiting = {
  readonly fill: () => void;
  readonly must: boolean;
  readonly bytes: number;
  readonly lazy: boolean;
  readonly client: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
};

/** Pause before writes that must not fail are tried again on a full disk. */
const RETRY_MS = 250;
const LAZY_MS = 8;

export class Journal {
  readonly jobs: Table;
  readonly payloads: Table;
  readonly live: Table;
  readonly delivered: Table;
  readonly failed: Table;
  readonly cancelled: Table;
  readonly instances: JournalTable<readonly [string, string, number]>;
  readonly paths: Table;
  /** See `TreeIndex`. */
  readonly trees: Table;
  readonly keys: JournalTable<string>;
  readonly temporaries: JournalTable<readonly [number, string]>;
  readonly batches: JournalTable<readonly [number, number]>;
  readonly linger: JournalTable<readonly [number, number]>;
  readonly meta: JournalTable<string>;
  readonly #store: JournalStore;
  readonly #ballast: Ballast;
  readonly #onBroken: (error: Error) => void;
  #waiting: Waiting[] = [];
  #committing: Promise<void> | undefined;
  readonly #returning = new ReturningClients();
  #closed = false;
  /** Ends the wait for others to join. */
  #hurry: (() => void) | undefined;
  /** Why nothing can be written any more. */
  #broken: Error | undefined;

  private constructor(store: JournalStore, { ballast, onBroken }: JournalOptions) {
    this.#store = store;
    this.#ballast = ballast;
    this.#onBroken = onBroken;
    this.jobs = store.table('jobs');
    this.payloads = store.table('payloads');
    this.live = store.table('live');
    this.delivered = store.table('delivered');
    this.failed = store.table('failed');
    this.cancelled = store.table('cancelled');
    this.instances = store.table('instances');
    this.paths = store.table('paths');
    this.trees = store.table('trees');
    this.keys = store.table('keys');
    this.temporaries = store.table('temporaries');
    this.batches = store.table('batches');
    this.linger = store.table('linger');
    this.meta = store.table('meta');
  }

  /** `config_invalid` when the directory was written by another format of this program. */
  static async open(directory: string, options: JournalOptions): Promise<Journal> {
    const { ballast, log = true } = options;
    let journal: Journal | undefined;
    const onCheckpointFailed = (error: Error): void => journal?.checkpointFailed(error);
    journal = new Journal(await JournalStore.open(directory, { ballast, log, onCheckpointFailed }), options);
    return journal;
  }

  /**
   * Writes what `fill` puts and removes, all or nothing, and resolves once it is on stable storage. Writes made
   * while a commit is under way are committed together by the next one, in the order of calls. `fill` only puts and
   * removes, and must not throw. Buffers must not be changed any more. On a full disk it rejects with `disk_low`; a write
   * that `must` succeed is tried again instead, with the ballast thrown off, until it does. A `lazy` one, for which
   * nobody waits urgently, lets others join for some milliseconds before a commit is made for it alone. What a `client`
   * waits for may be followed by the next file of the same client.
   */
  write(
    fill: () => void,
    { must = false, lazy = false, client = false, bytes = 0 }: WriteOptions = {},
  ): Promise<void> {
    if (this.#closed) return Promise.reject(new Error('The journal is closed'));
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    return new Promise<void>((resolve, reject) => {
      this.#waiting.push({ fill, must, lazy, client, bytes, resolve, reject });
      if (!lazy) this.#hurry?.();
      this.#committing ??= this.#commitAll();
    });
  }

  /** Waits for what is under way, then closes. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#hurry?.();
    await this.#committing;
    await (this.#broken === undefined ? this.#store.close() : this.#store.abandon());
  }

  /** Commits so far that went into the log, for tests. */
  get commits(): number {
    return this.#store.commits;
  }

  /** Brings lmdb up to date, as happens by itself some time after a commit. */
  checkpoint(): Promise<void> {
    return this.#store.checkpoint();
  }

  async #commitAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#gather();
      const group = await this.#takeFitting();
      if (group.length === 0) continue;
      const startedAtMs = performance.now();
      try {
        await this.#store.commit(() => {
          for (const one of group) one.fill();
        }, loadOf(group));
        const tookMs = performance.now() - startedAtMs;
        this.#returning.answered(countClients(group), countClients(this.#waiting), tookMs);
        for (const one of group) one.resolve();
        this.#ballast.restore(Date.now());
      } catch (error) {
        await this.#failed(group, error instanceof Error ? error : new Error(messageOf(error)));
      }
    }
    this.#committing = undefined;
  }

  /** Waits for what should still join the next commit. */
  async #gather(): Promise<void> {
    // Whatever the event loop has at hand.
    await nextTurn();
    await this.#returning.wait(() => (this.#closed ? Number.POSITIVE_INFINITY : countClients(this.#waiting)));
    if (this.#closed || !this.#waiting.every((one) => one.lazy)) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LAZY_MS);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#hurry = undefined;
  }

  /** Takes what the next commit is to write: all that waits, or on a full disk as much of the musts as has room. */
  async #takeFitting(): Promise<Waiting[]> {
    const group = this.#waiting;
    this.#waiting = [];
    const store = this.#store;
    let wantedBytes = store.costWith(loadOf(group));
    if ((await store.provide(wantedBytes)) >= wantedBytes) return group;
    if (!store.isUpToDate) {
      // What the log holds needs less than may be: the room for it is free once lmdb has it.
      try {
        await store.checkpoint();
      } catch (error) {
        await this.#failed(group, error as Error);
        return [];
      }
      wantedBytes = store.costWith(loadOf(group));
      if ((await store.provide(wantedBytes)) >= wantedBytes) return group;
    }

    const musts = group.filter((one) => one.must);
    const leastBytes = costOf(loadOf(musts.slice(0, 1)));
    let askedBytes = costOf(loadOf(musts));
    let roomBytes = await store.provide(askedBytes);
    while (roomBytes < askedBytes && askedBytes > leastBytes) {
      askedBytes = Math.max(leastBytes, askedBytes / 4);
      roomBytes = await store.provide(askedBytes);
    }
    let count = musts.length;
    while (count > 0 && costOf(loadOf(musts.slice(0, count))) > roomBytes) count -= 1;
    if (count === 0) {
      await this.#failed(group, new DiskFull());
      return [];
    }
    refuse(group.filter((one) => !one.must));
    this.#waiting = [...musts.slice(count), ...this.#waiting];
    return musts.slice(0, count);
  }

  async #failed(group: readonly Waiting[], cause: Error): Promise<void> {
    if (!this.#ballast.isDiskFull(cause)) {
      for (const one of group) one.reject(cause);
      this.#break(cause);
      return;
    }
    const must = group.filter((one) => one.must && !this.#closed);
    refuse(
      group.filter((one) => !must.includes(one)),
      cause,
    );
    if (must.length === 0) return;
    this.#waiting = [...must, ...this.#waiting];
    if (!(await this.#ballast.throwOff())) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }

  /** Told by the store: lmdb could not be brought up to date, and will be tried again. */
  checkpointFailed(error: Error): void {
    if (this.#ballast.isDiskFull(error)) void this.#ballast.throwOff();
    else this.#break(error);
  }

  #break(cause: Error): void {
    if (this.#broken !== undefined) return;
    this.#broken = cause;
    for (const one of this.#waiting) one.reject(cause);
    this.#waiting = [];
    // After a failed fdatasync later commits may stand on lost pages, and lmdb itself may be in panic.
    this.#onBroken(cause);
  }
}

export type WriteOptions = {
  readonly must?: boolean;
  readonly lazy?: boolean;
  readonly client?: boolean;
  /** What it writes at most, where that is more than a record and its entries. */
  readonly bytes?: number;
};

export type JournalOptions = {
  readonly ballast: Ballast;
  /** False: no log is made where there is none. */
  readonly log?: boolean;
  /** The storage fails for good: nothing more may be accepted, the process has to end. */
  readonly onBroken: (error: Error) => void;
};

/** Writes that nothing but a full disk stands against may come again. */
function refuse(writes: readonly Waiting[], cause?: Error): void {
  const message = 'The disk of the daemon is full; make room there, then try again';
  for (const one of writes) one.reject(new CodedError('disk_low', message, { cause, retryAfterSeconds: 30 }));
}

function countClients(writes: readonly Waiting[]): number {
  return writes.reduce((count, one) => count + Number(one.client), 0);
}

function loadOf(writes: readonly Waiting[]): Load {
  return { fills: writes.length, bytes: writes.reduce((sum, one) => sum + one.bytes, 0) };
}

class DiskFull extends Error {
  readonly code = 'ENOSPC';
}
