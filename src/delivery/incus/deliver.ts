/**
 * One delivery over SFTP: temporary file in the destination's directory, data, size, owner, mode, rename.
 *
 * Promises what `target.ts` says of a delivery. Leaves, when this process dies in the middle, a temporary file of mode
 * 0600 whose path was announced before; when the connection dies in the middle, the same, and says so.
 *
 * Round trips of the common case, each one flight of pipelined requests: LSTAT of the destination (while the caller
 * notes the temporary file), OPEN, FSETSTAT 0600, WRITEs, FSTAT, {owner if it differs, mode, CLOSE},
 * RENAME. What a small file costs is the number of packets, so none is sent that is not needed. setuid, setgid and sticky
 * bits are asked for but not insisted on: servers built on pkg/sftp up to 1.13.6 drop them without a word.
 */
import { Deadline, DeadlineError } from '../deadline.ts';
import { DeliveryError, failedOutcome, payloadError, permanent, refusal, transient } from '../failure.ts';
import type { PayloadSource } from '../payload-source.ts';
import type { Delivery, Outcome } from '../target.ts';
import { classify } from './classify.ts';
import { directoryOf, joinPath, type ResolvedDestination, resolveDestination } from './destination.ts';
import { makeParents } from './parents.ts';
import { sendPayload } from './send-payload.ts';
import type { Lease } from './session-pool.ts';
import { OPEN_FLAG } from './sftp-packet.ts';
import type { SftpSession } from './sftp-session.ts';
import { explainStatus, isStatus } from './status-words.ts';

const CREATE_NEW = OPEN_FLAG.write | OPEN_FLAG.create | OPEN_FLAG.exclusive;

/** Time for removing a temporary file after a failure. */
const CLEAN_UP_MS = 2000;

/** The failure message for people. */
type Explain = (error: unknown) => string;

/** `lease` opens or shares a session. Never rejects. */
export async function deliverOverSftp(
  lease: () => Promise<Lease>,
  delivery: Delivery,
  explain: Explain,
): Promise<Outcome> {
  const deadline = new Deadline(delivery.timeoutMs, delivery.signal);
  // It is looked at after the data; given up before that, it must not end the process as an unhandled rejection.
  delivery.payload.committed.catch(() => {});
  let leased: Lease | undefined;
  try {
    // Connecting has its own deadlines. A lease that comes too late is given back.
    const leasing = lease();
    leased = await deadline
      .wait('connect', () => leasing)
      .catch((error: unknown) => {
        leasing.then(
          (late) => late.release(false),
          () => {},
        );
        throw error;
      });
    return await new Attempt(leased.session, delivery, deadline, explain).run(leased);
  } catch (error) {
    return failedOutcome(classify(error), explain(error), false);
  } finally {
    deadline.end();
    leased?.release(false);
  }
}

class Attempt {
  readonly #session: SftpSession;
  readonly #delivery: Delivery;
  readonly #deadline: Deadline;
  readonly #explain: Explain;
  /** The temporary file, once a request to make it was sent. */
  #temporary: { readonly path: string; readonly handle: Promise<Buffer> } | undefined;
  #closed = false;
  #renaming: Promise<void> | undefined;

  constructor(session: SftpSession, delivery: Delivery, deadline: Deadline, explain: Explain) {
    this.#session = session;
    this.#delivery = delivery;
    this.#deadline = deadline;
    this.#explain = explain;
  }

  async run(lease: Lease): Promise<Outcome> {
    let path = this.#delivery.path;
    try {
      const destination = await this.#locate();
      path = destination.path;
      await this.#fill(await this.#make(destination.realPath));
      this.#delivery.onRename?.();
      await this.#rename(destination);
      return { kind: 'delivered', path };
    } catch (error) {
      const cleaned = await this.#cleanUp(error);
      if (cleaned === 'delivered') return { kind: 'delivered', path };
      if (error instanceof DeadlineError || (cleaned === 'left' && this.#session.alive)) lease.release(true);
      return failedOutcome(classify(error), this.#explain(error), cleaned === 'left');
    }
  }

  /** Finds the destination while the caller notes where the temporary file most likely will be. */
  async #locate(): Promise<ResolvedDestination> {
    const { path, temporaryName, onTemporary } = this.#delivery;
    const likely = path.endsWith('/') ? path.replace(/(.)\/$/, '$1') : directoryOf(path);
    const announced = onTemporary(joinPath(likely, temporaryName));
    announced.catch(() => {});
    const destination = await this.#deadline.run('look up', () =>
      resolveDestination(this.#session, this.#delivery).catch((error: unknown) => {
        throw this.#plain(error, path);
      }),
    );
    const directory = directoryOf(destination.realPath);
    await this.#deadline.wait('note the temporary file', async () => {
      try {
        await announced;
        if (directory !== likely) await onTemporary(joinPath(directory, temporaryName));
      } catch (error) {
        throw new DeliveryError(transient('internal', 'job'), 'Cannot note the temporary file', error);
      }
    });
    return destination;
  }

  /** Opens the temporary file, making its parents when they are missing and may be made. */
  async #make(realPath: string): Promise<Buffer> {
    const { temporaryName, createDirs } = this.#delivery;
    const directory = directoryOf(realPath);
    const path = joinPath(directory, temporaryName);
    try {
      return await this.#open(path);
    } catch (error) {
      if (!isStatus(error, 'ENOENT')) throw this.#plain(error, realPath);
      if (!createDirs) {
        throw refusal(
          'parent_missing',
          `The parent directory ${directory} is missing; make it, or let it be made`,
        );
      }
    }
    const made = await makeParents(this.#session, directory, this.#delivery, this.#deadline).catch(
      (error: unknown) => {
        throw this.#plain(error, directory);
      },
    );
    try {
      return await this.#open(path);
    } catch (error) {
      if (!isStatus(error, 'ENOENT')) throw this.#plain(error, realPath);
      // Virtual file systems such as /proc say "no such file" to whoever creates one.
      const verdict = made === 0 ? permanent('permission_denied') : transient('instance_unavailable', 'job');
      throw new DeliveryError(verdict, `The directory ${directory} takes no new files`, error);
    }
  }

  async #open(path: string): Promise<Buffer> {
    const session = this.#session;
    try {
      return await this.#deadline.run('open', () => {
        const opening = session.open(path, CREATE_NEW);
        this.#temporary = { path, handle: opening };
        return opening;
      });
    } catch (error) {
      if (!isStatus(error, 'EEXIST')) throw error;
      // The name is new to the world, so this is a foreign file; it stays, and the next attempt has another name.
      throw new DeliveryError(
        transient('instance_unavailable', 'job'),
        `There is a file ${path} already`,
        error,
      );
    }
  }

  async #fill(handle: Buffer): Promise<void> {
    const { payload, mode, uid, gid, onProgress, path } = this.#delivery;
    const session = this.#session;
    const deadline = this.#deadline;
    try {
      await deadline.run('protect', () => session.fsetstat(handle, { mode: 0o600 }));
      const sent = await sendPayload(session, handle, payload, deadline, onProgress);
      const size = await deadline.wait('commit', () => committedSize(payload));
      if (size !== sent) {
        throw new DeliveryError(
          permanent('payload_lost'),
          `The stored file has ${sent} bytes, expected ${size}`,
        );
      }
      const { size: kept, ...owner } = await deadline.run('check', () => session.fstat(handle));
      if (kept !== size) throw shortFile(kept, size);
      await deadline.run('finish', () => {
        this.#closed = true;
        return Promise.all([
          // One kind of change in each packet; the owner first, since changing it clears setuid and setgid.
          owner.uid === uid && owner.gid === gid ? undefined : session.fsetstat(handle, { uid, gid }),
          session.fsetstat(handle, { mode }),
          session.close(handle),
        ]);
      });
    } catch (error) {
      throw this.#plain(error, path);
    }
  }

  async #rename({ path, realPath }: ResolvedDestination): Promise<void> {
    const temporary = this.#temporary?.path ?? '';
    try {
      await this.#deadline.run('rename', () => {
        this.#renaming = this.#session.rename(temporary, realPath);
        return this.#renaming;
      });
    } catch (error) {
      if (isStatus(error, 'EEXIST') || isStatus(error, 'EISDIR')) {
        throw refusal('destination_is_directory', `The destination ${path} is a directory`);
      }
      throw this.#plain(error, path);
    }
  }

  /** Removes the temporary file after a failure. A rename that was under way may turn out to have been done. */
  async #cleanUp(error: unknown): Promise<'clean' | 'left' | 'delivered'> {
    const temporary = this.#temporary;
    if (temporary === undefined) return 'clean';
    // A session that has just missed a deadline will not answer this either.
    if (error instanceof DeadlineError || !this.#session.alive) return 'left';
    const deadline = new Deadline(Math.min(this.#delivery.timeoutMs, CLEAN_UP_MS));
    try {
      const renamed = await deadline.run('rename', () => settledOk(this.#renaming));
      if (renamed) return 'delivered';
      const handle = await deadline.run('open', () => temporary.handle.catch(() => undefined));
      if (handle === undefined && this.#session.alive) return 'clean';
      if (handle !== undefined && !this.#closed) this.#session.close(handle).catch(() => {});
      await deadline.run('remove', () => this.#session.remove(temporary.path));
      return 'clean';
    } catch (failure) {
      return isStatus(failure, 'ENOENT') ? 'clean' : 'left';
    } finally {
      deadline.end();
    }
  }

  /** A status as a sentence for people; other errors as they are. */
  #plain(error: unknown, path: string): unknown {
    return explainStatus(error, `${this.#delivery.instance}:${path}`);
  }
}

async function settledOk(work: Promise<void> | undefined): Promise<boolean> {
  if (work === undefined) return false;
  return work.then(
    () => true,
    () => false,
  );
}

/** Every write was confirmed and yet bytes are missing: so a full disk shows when its error was swallowed. */
export function shortFile(actual: number | undefined, expected: number): DeliveryError {
  return new DeliveryError(
    transient('instance_disk_full', 'job', true),
    `The instance kept ${actual ?? 'an unknown number of'} bytes of ${expected}; its disk may be full`,
  );
}

async function committedSize(payload: PayloadSource): Promise<number> {
  try {
    return await payload.committed;
  } catch (error) {
    throw payloadError(error);
  }
}
