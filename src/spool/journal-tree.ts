/** The journal's lmdb environment, and the room in its file. A commit is on stable storage when its promise resolves. */
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { messageOf } from '../errors.ts';
import { JournalRoom } from './journal-room.ts';
import { syncPath } from './sync-path.ts';

type Environment = RootDatabase<Buffer, string>;
type Stats = { readonly lastPageNumber: number; readonly pageSize: number };

export class JournalTree {
  readonly #env: Environment;
  readonly #room: JournalRoom;

  private constructor(env: Environment, room: JournalRoom) {
    this.#env = env;
    this.#room = room;
  }

  static async open(directory: string): Promise<JournalTree> {
    const path = join(directory, 'data.mdb');
    if (!existsSync(path)) await createEnvironment(directory);
    return new JournalTree(openEnvironment(directory), await JournalRoom.open(path));
  }

  db(name: string): Database<Buffer, string> {
    return this.#env.openDB({ name, encoding: 'binary' });
  }

  /** Resolves to the bytes that can be written now: `wantedBytes` or more, less only on a full disk. */
  provide(wantedBytes: number): Promise<number> {
    const { lastPageNumber, pageSize } = this.#env.getStats() as Stats;
    return this.#room.provide((lastPageNumber + 1) * pageSize, wantedBytes);
  }

  /** What `fill` puts and removes, all or nothing. */
  async commit(fill: () => void): Promise<void> {
    try {
      await this.#env.batch(fill);
    } catch (error) {
      throw await causeOf(error);
    }
    // Reads must not go on with what they saw before.
    this.#env.resetReadTxn();
  }

  /** Waits for what is being done to the file beside commits. */
  settled(): Promise<void> {
    return this.#room.settled();
  }

  close(): Promise<void> {
    return this.#env.close();
  }
}

function openEnvironment(directory: string): Environment {
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
