/**
 * Unpacks an archive into an instance over one SFTP session, a few hundred requests in flight; see `unpack-tree.ts` for
 * what is promised and what a crash leaves. The helper of an instance takes commands one after the other, so what counts is
 * their number: a small file is OPEN, WRITE, FSTAT, CLOSE, RENAME, and owner and mode where they are not as files are made.
 *
 * Links belong to root: SFTP 3 cannot give them away.
 */
import { setMaxListeners } from 'node:events';
import { Deadline, DeadlineError } from '../deadline.ts';
import { DeliveryError, failedOutcome, permanent, refusal, transient } from '../failure.ts';
import type { Outcome, TreeDelivery } from '../target.ts';
import { type FileEntry, sliceOf } from '../tree-reader.ts';
import type { FoundType, Staging, TreeWriter } from '../tree-writer.ts';
import { TreeUnpacker } from '../unpack-tree.ts';
import { classify } from './classify.ts';
import { shortFile } from './deliver.ts';
import { joinPath, typeOf } from './destination.ts';
import { makeParents } from './parents.ts';
import { removeOverSftp } from './remove-temporary.ts';
import { sendPayload } from './send-payload.ts';
import type { Lease } from './session-pool.ts';
import { OPEN_FLAG } from './sftp-packet.ts';
import type { SftpSession } from './sftp-session.ts';
import { explainStatus, isStatus, statusCode } from './status-words.ts';

const CREATE_NEW = OPEN_FLAG.write | OPEN_FLAG.create | OPEN_FLAG.exclusive;
/** What a new directory has by itself. */
const MADE_MODE = 0o755;

/** `lease` opens or shares a session. Never rejects. */
export async function unpackOverSftp(
  lease: () => Promise<Lease>,
  delivery: TreeDelivery,
  explain: (error: unknown) => string,
): Promise<Outcome> {
  const deadline = new Deadline(delivery.timeoutMs, delivery.signal);
  delivery.payload.committed.catch(() => {});
  let leased: Lease | undefined;
  try {
    leased = await connect(lease, deadline);
    const { session } = leased;
    const writer = new SftpTreeWriter(session, delivery);
    const unpacker = new TreeUnpacker(writer, delivery, deadline);
    try {
      await unpacker.run();
      return { kind: 'delivered', path: writer.pathOf('') };
    } catch (error) {
      // A session that has just missed a deadline will not answer anything else either.
      const answers = () => session.alive && !(error instanceof DeadlineError);
      const left = await unpacker.cleanUp(answers);
      if (left || !answers()) leased.release(true);
      return failedOutcome(classify(error), explain(error), left);
    }
  } catch (error) {
    return failedOutcome(classify(error), explain(error), false);
  } finally {
    deadline.end();
    leased?.release(false);
  }
}

/** Connecting has its own deadlines. A lease that comes too late is given back. */
function connect(lease: () => Promise<Lease>, deadline: Deadline): Promise<Lease> {
  const leasing = lease();
  return deadline
    .wait('connect', () => leasing)
    .catch((error: unknown) => {
      leasing.then(
        (late) => late.release(false),
        () => {},
      );
      throw error;
    });
}

class SftpTreeWriter implements TreeWriter {
  /** So many that neither side ever waits for the other on a busy machine, where each turn takes long. */
  readonly atOnce = 512;
  readonly #session: SftpSession;
  readonly #delivery: TreeDelivery;
  readonly #base: string;
  readonly #owner: { readonly uid: number; readonly gid: number };
  readonly #isRootOwned: boolean;
  /** The mode that a new file has by itself, once one was seen. */
  #newMode: number | undefined;
  /** Ends what has a deadline of its own. */
  readonly #stop = new AbortController();

  constructor(session: SftpSession, delivery: TreeDelivery) {
    const { path, uid, gid } = delivery;
    this.#session = session;
    this.#delivery = delivery;
    this.#base = path.replace(/(.)\/$/, '$1');
    this.#owner = { uid, gid };
    setMaxListeners(0, this.#stop.signal);
    this.#isRootOwned = uid === 0 && gid === 0;
  }

  async open(): Promise<void> {
    const { createDirs, timeoutMs } = this.#delivery;
    const type = await this.#typeOf(this.#base);
    if (type === 'directory') return;
    if (type !== undefined) throw refusal('parent_missing', `${this.pathOf('')} is not a directory`);
    if (!createDirs)
      throw refusal('parent_missing', `The directory ${this.#base} is missing; make it, or let it be made`);
    const deadline = new Deadline(timeoutMs, this.#stop.signal);
    try {
      await makeParents(this.#session, this.#base, this.#owner, deadline);
    } catch (error) {
      throw this.explain(error, '');
    } finally {
      deadline.end();
    }
  }

  pathOf(name: string): string {
    return name === '' ? this.#base : joinPath(this.#base, name);
  }

  async makeDirectory(name: string, mode: number): Promise<'made' | 'merged'> {
    const path = this.pathOf(name);
    try {
      await this.#session.mkdir(path);
    } catch (error) {
      if (!isStatus(error, 'EEXIST')) throw error;
      if ((await typeOf(this.#session.stat(path))) === 'directory') return 'merged';
      throw refusal('parent_missing', `${path} is not a directory, where the archive has one`);
    }
    // Root's own until the end, when others may change what is in it.
    const closed = (mode & MADE_MODE) | 0o700;
    if (closed !== MADE_MODE) await this.#session.setstat(path, { mode: closed });
    return 'made';
  }

  async finishDirectory(name: string, mode: number): Promise<void> {
    const path = this.pathOf(name);
    await Promise.all([
      this.#session.setstat(path, this.#owner),
      // By path, which follows links: SFTP 3 has no way to do it by handle.
      this.#session.setstat(path, { mode }),
    ]);
  }

  async look(name: string): Promise<FoundType> {
    return (await typeOf(this.#session.lstat(this.pathOf(name)))) ?? 'missing';
  }

  async makeStaging(staging: Staging): Promise<void> {
    const path = this.#pathOfStaging(staging);
    await this.#session.mkdir(path);
    // It may have inherited a group and setgid, which files in it would have from it.
    await Promise.all([
      this.#session.setstat(path, { uid: 0, gid: 0 }),
      this.#session.setstat(path, { mode: 0o700 }),
    ]);
  }

  async removeStaging(staging: Staging): Promise<void> {
    const path = this.#pathOfStaging(staging);
    if (await removeOverSftp(this.#session, path)) return;
    throw new DeliveryError(
      transient('instance_unavailable', 'job'),
      `Cannot remove the staging directory ${path}`,
    );
  }

  async makeFile(
    staging: Staging,
    temporary: string,
    entry: FileEntry,
    content: Buffer | undefined,
    moved: (bytes: number) => void,
  ): Promise<void> {
    const session = this.#session;
    const path = `${this.#pathOfStaging(staging)}/${temporary}`;
    const handle = await session.open(path, CREATE_NEW);
    // The owner first, since changing it clears setuid and setgid, and so does writing.
    await Promise.all([
      content === undefined ? this.#stream(handle, entry, moved) : this.#write(handle, content, moved),
      this.#isRootOwned ? undefined : session.fsetstat(handle, this.#owner),
    ]);
    const asksMode = entry.mode !== this.#newMode;
    const [{ size, mode = 0 }] = await Promise.all([
      session.fstat(handle),
      asksMode ? session.fsetstat(handle, { mode: entry.mode }) : undefined,
      session.close(handle),
    ]);
    if (size !== entry.sizeBytes) throw shortFile(size, entry.sizeBytes);
    if (asksMode) this.#newMode ??= mode & 0o7777;
    else if ((mode & 0o7777) !== entry.mode) await session.setstat(path, { mode: entry.mode });
  }

  makeLink(staging: Staging, temporary: string, target: string): Promise<void> {
    return this.#session.symlink(target, `${this.#pathOfStaging(staging)}/${temporary}`);
  }

  rename(staging: Staging, temporary: string, name: string): Promise<void> {
    return this.#session.rename(`${this.#pathOfStaging(staging)}/${temporary}`, this.pathOf(name));
  }

  removeTemporary(staging: Staging, temporary: string): Promise<void> {
    return this.#session.remove(`${this.#pathOfStaging(staging)}/${temporary}`);
  }

  /** Nobody can have an instance sync. */
  settle(): Promise<void> {
    return Promise.resolve();
  }

  codeOf(error: unknown): string | undefined {
    return statusCode(error);
  }

  explain(error: unknown, name: string): unknown {
    // What was there a moment ago went away: a reboot emptied /tmp, say. It is made again next time.
    const explained = explainStatus(error, `${this.#delivery.instance}:${this.pathOf(name)}`);
    if (explained === error || !(explained instanceof DeliveryError) || !isStatus(error, 'ENOENT'))
      return explained;
    return new DeliveryError(transient('instance_unavailable', 'job'), explained.message, error);
  }

  end(): void {
    this.#stop.abort();
  }

  async #write(handle: Buffer, content: Buffer, moved: (bytes: number) => void): Promise<void> {
    if (content.length === 0) return;
    await this.#session.write(handle, 0, content);
    moved(content.length);
  }

  async #stream(handle: Buffer, entry: FileEntry, moved: (bytes: number) => void): Promise<void> {
    const { payload, timeoutMs } = this.#delivery;
    const deadline = new Deadline(timeoutMs, this.#stop.signal);
    let told = 0;
    try {
      const sent = await sendPayload(
        this.#session,
        handle,
        sliceOf(payload, entry),
        deadline,
        (confirmed) => {
          moved(confirmed - told);
          told = confirmed;
        },
      );
      if (sent === entry.sizeBytes) return;
      throw new DeliveryError(permanent('payload_lost'), `The stored archive is too short`);
    } finally {
      deadline.end();
    }
  }

  #pathOfStaging({ directory, name }: Staging): string {
    return joinPath(this.pathOf(directory), name);
  }

  async #typeOf(path: string) {
    try {
      return await typeOf(this.#session.stat(path));
    } catch (error) {
      // Below something that is no directory; making the parents says which.
      if (isStatus(error, 'ENOTDIR')) return undefined;
      throw this.explain(error, '');
    }
  }
}
