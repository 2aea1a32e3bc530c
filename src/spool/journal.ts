/**
 * The journal: the truth about every job, in one lmdb environment. It owns the file format and promises that what is
 * written by one `write` is there whole or not at all, and on stable storage when its promise resolves, through kill -9
 * and power cuts. After a crash lmdb opens at the last commit; there is nothing to repair.
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
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { CodedError, messageOf } from '../errors.ts';
import type { Ballast } from './ballast.ts';
import { JournalRoom } from './journal-room.ts';
import { nextTurn, ReturningClients } from './returning-clients.ts';
import { syncPath } from './sync-path.ts';

export type Table = Database<Buffer, number>;

type Waiting = {
  readonly fill: () => void;
  readonly must: boolean;
  readonly bytes: number;
  readonly lazy: boolean;
  readonly client: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
};

/** What lmdb may write for one `fill`: a few pages in each of a job's tables. */
const FILL_BYTES = 32 << 10;
/** And for a commit as such: branches down to the leaves, and its list of free pages. */
const COMMIT_BYTES = 256 << 10;

type Stats = { readonly lastPageNumber: number; readonly pageSize: number };

/** Pause before writes that must not fail are tried again on a full disk. */
const RETRY_MS = 250;
const LAZY_MS = 8;

export class Journal {
  readonly #env: RootDatabase<Buffer, string>;
  readonly jobs: Table;
  readonly payloads: Table;
  readonly live: Table;
  readonly delivered: Table;
  readonly failed: Table;
  readonly cancelled: Table;
  readonly instances: Database<Buffer, [string, string, number]>;
  readonly paths: Table;
  /** See `TreeIndex`. */
  readonly trees: Table;
  readonly keys: Database<Buffer, string>;
  readonly temporaries: Database<Buffer, [number, string]>;
  readonly batches: Database<Buffer, [number, number]>;
  readonly linger: Database<Buffer, [number, number]>;
  readonly meta: Database<Buffer, string>;
  readonly #ballast: Ballast;
  readonly #room: JournalRoom;
  readonly #onBroken: (error: Error) => void;
  #waiting: Waiting[] = [];
  #committing: Promise<void> | undefined;
  readonly #returning = new ReturningClients();
  #closed = false;
  /** Ends the wait for others to join. */
  #hurry: (() => void) | undefined;
  /** Why nothing can be written any more. */
  #broken: Error | undefined;

  private constructor(env: RootDatabase<Buffer, string>, room: JournalRoom, options: JournalOptions) {
    this.#env = env;
    this.#room = room;
    this.#ballast = options.ballast;
    this.#onBroken = options.onBroken;
    const table = (name: string): Table => env.openDB<Buffer, number>({ name, encoding: 'binary' });
    this.jobs = table('jobs');
    this.payloads = table('payloads');
    this.live = table('live');
    this.delivered = table('delivered');
    this.failed = table('failed');
    this.cancelled = table('cancelled');
    this.paths = table('paths');
    this.batches = env.openDB({ name: 'batches', encoding: 'binary' });
    this.trees = table('trees');
    this.linger = env.openDB({ name: 'linger', encoding: 'binary' });
    this.instances = env.openDB({ name: 'instances', encoding: 'binary' });
    this.keys = env.openDB({ name: 'keys', encoding: 'binary' });
    this.temporaries = env.openDB({ name: 'temporaries', encoding: 'binary' });
    this.meta = env.openDB({ name: 'meta', encoding: 'binary' });
  }

  static async open(directory: string, options: JournalOptions): Promise<Journal> {
    if (!existsSync(join(directory, 'data.mdb'))) await createEnvironment(directory);
    const env = openEnvironment(directory);
    return new Journal(env, await JournalRoom.open(join(directory, 'data.mdb')), options);
  }

  /**
   * Writes what `fill` puts and removes, all or nothing, and resolves once it is on stable storage. Writes made
   * while a commit is under way are committed together by the next one, in the order of calls. `fill` only puts and
   * removes and must not throw: lmdb would keep what it had put. Buffers must not be changed before the promise
   * settles, since lmdb reads them in its own thread. On a full disk it rejects with `disk_low`; a write that `must`
   * succeed is tried again instead, with the ballast thrown off, until it does. A `lazy` one, for which nobody waits
   * urgently, lets others join for some milliseconds before a commit is made for it alone. What a `client` waits for
   * may be followed by the next file of the same client.
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
    await this.#room.settled();
    // After an error of the disk lmdb's own close would wait for ever.
    if (this.#broken === undefined) await this.#env.close();
  }

  async #commitAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#gather();
      const group = await this.#takeFitting();
      if (group.length === 0) continue;
      const startedAtMs = performance.now();
      try {
        await this.#env.batch(() => {
          for (const one of group) one.fill();
        });
        const tookMs = performance.now() - startedAtMs;
        this.#returning.answered(countClients(group), countClients(this.#waiting), tookMs);
        for (const one of group) one.resolve();
        this.#ballast.restore(Date.now());
      } catch (error) {
        await this.#failed(group, await causeOf(error));
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
    const { lastPageNumber, pageSize } = this.#env.getStats() as Stats;
    const usedBytes = (lastPageNumber + 1) * pageSize;
    const wantedBytes = costOf(group);
    if ((await this.#room.provide(usedBytes, wantedBytes)) >= wantedBytes) return group;

    const musts = group.filter((one) => one.must);
    const leastBytes = costOf(musts.slice(0, 1));
    let askedBytes = costOf(musts);
    let roomBytes = await this.#room.provide(usedBytes, askedBytes);
    while (roomBytes < askedBytes && askedBytes > leastBytes) {
      askedBytes = Math.max(leastBytes, askedBytes / 4);
      roomBytes = await this.#room.provide(usedBytes, askedBytes);
    }
    let count = musts.length;
    while (count > 0 && costOf(musts.slice(0, count)) > roomBytes) count -= 1;
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
      this.#broken = cause;
      for (const one of [...group, ...this.#waiting]) one.reject(cause);
      this.#waiting = [];
      // After a failed fdatasync later commits may stand on lost pages, and lmdb itself may be in panic.
      this.#onBroken(cause);
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

function costOf(writes: readonly Waiting[]): number {
  return writes.reduce((sum, one) => sum + FILL_BYTES + one.bytes, COMMIT_BYTES);
}

class DiskFull extends Error {
  readonly code = 'ENOSPC';
}

function openEnvironment(directory: string): RootDatabase<Buffer, string> {
  return open<Buffer, string>({
    path: directory,
    encoding: 'binary',
    noSubdir: false,
    maxDbs: 16,
    // The commit is one write, one fdatasync, one synced root; with overlapping syncs lmdb-js 3.5 acknowledges a
    // commit whose last write failed.
    overlappingSync: false,
    eventTurnBatching: false,
    // Both bound the memory that is mapped: a million jobs are scanned in 300 MiB instead of 1.8 GiB.
    remapChunks: true,
    pageSize: 2048,
  });
}

/** A power cut while lmdb makes a new environment leaves one that cannot be opened, so it is made aside. */
async function createEnvironment(directory: string): Promise<void> {
  const aside = `${directory}-new`;
  await rm(aside, { recursive: true, force: true });
  const env = openEnvironment(aside);
  await env.put('created', Buffer.from('1'));
  await env.close();
  for (const path of [join(aside, 'data.mdb'), aside]) await syncPath(path);
  await rm(directory, { recursive: true, force: true });
  await rename(aside, directory);
  await syncPath(dirname(directory));
}

/** lmdb-js says only that a commit failed; why comes as a promise that has to be taken at once. */
async function causeOf(error: unknown): Promise<Error> {
  const commitError: unknown =
    typeof error === 'object' && error !== null && 'commitError' in error ? error.commitError : undefined;
  if (commitError instanceof Promise) {
    const cause: unknown = await commitError.catch((reason: unknown) => reason);
    if (cause instanceof Error) return cause;
  }
  return error instanceof Error ? error : new Error(messageOf(error));
}
