/**
 * SFTP sessions, kept per instance only while there is work. Small files of one instance share one session; a large
 * one has a session of its own, so that it delays nobody.
 *
 * Owns every session it opened. Promises that a session without work is closed after `IDLE_MS`: any open one, even
 * idle, blocks snapshot, restore, start, rename and delete of its instance. Leaves nothing.
 */
import type { SftpSession } from './sftp-session.ts';

const IDLE_MS = 500;

export type Lease = {
  readonly session: SftpSession;
  /** Gives the session back. `broken`: it does not answer as it should, nobody shall get it again. */
  release(broken: boolean): void;
};

type Entry = {
  readonly opening: Promise<SftpSession>;
  session: SftpSession | undefined;
  /** How many leases are out or waited for. */
  users: number;
  shared: boolean;
  retired: boolean;
  idleTimer: NodeJS.Timeout | undefined;
};

export class SessionPool {
  readonly #open: (project: string, instance: string, timeoutMs: number) => Promise<SftpSession>;
  readonly #entries = new Map<string, Set<Entry>>();
  #closed = false;

  constructor(open: (project: string, instance: string, timeoutMs: number) => Promise<SftpSession>) {
    this.#open = open;
  }

  /** `sharing`: with other small files, or alone. */
  async lease(
    project: string,
    instance: string,
    timeoutMs: number,
    sharing: 'shared' | 'alone',
  ): Promise<Lease> {
    if (this.#closed) throw new Error('The target is closed');
    const key = `${project}/${instance}`;
    const entry = this.#find(key, sharing) ?? this.#add(key, project, instance, timeoutMs);
    entry.shared = sharing === 'shared';
    entry.users += 1;
    clearTimeout(entry.idleTimer);
    try {
      const session = await entry.opening;
      return { session, release: once((broken: boolean) => this.#release(key, entry, broken)) };
    } catch (error) {
      this.#release(key, entry, true);
      throw error;
    }
  }

  /** Ends every session, whatever it is doing. */
  close(): void {
    this.#closed = true;
    for (const entries of this.#entries.values()) {
      for (const entry of entries) {
        clearTimeout(entry.idleTimer);
        entry.retired = true;
        entry.opening.then(
          (session) => session.destroy(),
          () => {},
        );
      }
    }
  }

  #find(key: string, sharing: 'shared' | 'alone'): Entry | undefined {
    const entries = [...(this.#entries.get(key) ?? [])].filter((entry) => isUsable(entry));
    const idle = entries.find((entry) => entry.users === 0);
    if (sharing === 'alone') return idle;
    return entries.find((entry) => entry.shared && entry.users > 0) ?? idle;
  }

  #add(key: string, project: string, instance: string, timeoutMs: number): Entry {
    const opening = this.#open(project, instance, timeoutMs);
    const entry: Entry = {
      opening,
      session: undefined,
      users: 0,
      shared: false,
      retired: false,
      idleTimer: undefined,
    };
    const entries = this.#entries.get(key) ?? new Set();
    this.#entries.set(key, entries.add(entry));
    opening.then(
      (session) => {
        entry.session = session;
        if (this.#closed) session.destroy();
        session.onEnd(() => this.#forget(key, entry));
      },
      () => this.#forget(key, entry),
    );
    return entry;
  }

  #release(key: string, entry: Entry, broken: boolean): void {
    entry.users -= 1;
    if (broken) entry.retired = true;
    if (entry.users > 0) return;
    if (!isUsable(entry)) {
      this.#end(key, entry);
      return;
    }
    entry.idleTimer = setTimeout(() => this.#end(key, entry), IDLE_MS);
  }

  #end(key: string, entry: Entry): void {
    this.#forget(key, entry);
    entry.session?.destroy();
  }

  #forget(key: string, entry: Entry): void {
    clearTimeout(entry.idleTimer);
    entry.retired = true;
    const entries = this.#entries.get(key);
    entries?.delete(entry);
    if (entries?.size === 0) this.#entries.delete(key);
  }
}

function isUsable(entry: Entry): boolean {
  return !entry.retired && entry.session?.alive !== false;
}

function once<T>(act: (value: T) => void): (value: T) => void {
  let done = false;
  return (value) => {
    if (!done) act(value);
    done = true;
  };
}
