/**
 * Unpacks an archive into a directory that stands for an instance; see `unpack-tree.ts` for what is promised and what a
 * crash leaves. Nothing outside the instance's directory is ever touched: every directory is reached step by step as in
 * `rooted-path.ts`, whatever links the instance holds. What was delivered survives a crash of the machine: files are
 * synced one by one before they get their names, directories at the end.
 *
 * Only root can give files away: as an ordinary user the owner stays who runs this.
 */
import { setMaxListeners } from 'node:events';
import { constants } from 'node:fs';
import { type FileHandle, lchown, lstat, mkdir, rename, symlink, unlink } from 'node:fs/promises';
import { systemCode } from '../../errors.ts';
import { Deadline, DeadlineError } from '../deadline.ts';
import { DeliveryError, failedOutcome, permanent, refusal, transient } from '../failure.ts';
import { createInlineSource } from '../payload-source.ts';
import { parentOf } from '../staging-directories.ts';
import type { Outcome, TreeDelivery } from '../target.ts';
import { type FileEntry, sliceOf } from '../tree-reader.ts';
import type { FoundType, Staging, TreeWriter } from '../tree-writer.ts';
import { TreeUnpacker } from '../unpack-tree.ts';
import { classifySystem, describe, isRoot } from './deliver-to-directory.ts';
import { HandleKeeper } from './handle-keeper.ts';
import { OpenDirectories } from './open-directories.ts';
import { removeStaged } from './remove-staged.ts';
import { byteNames, createMaker, entryOf, findEntry } from './rooted-path.ts';
import { writePayload } from './write-payload.ts';

const CREATE_NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

type OpenRoot = (keeper: HandleKeeper) => Promise<FileHandle>;

/** `openRoot` opens the instance's directory. Never rejects. */
export async function unpackToDirectory(openRoot: OpenRoot, delivery: TreeDelivery): Promise<Outcome> {
  const deadline = new Deadline(delivery.timeoutMs, delivery.signal);
  const keeper = new HandleKeeper();
  delivery.payload.committed.catch(() => {});
  const writer = new DirectoryTreeWriter(openRoot, keeper, delivery);
  const unpacker = new TreeUnpacker(writer, delivery, deadline);
  try {
    await unpacker.run();
    return { kind: 'delivered', path: writer.pathOf('') };
  } catch (error) {
    // After a missed deadline the file system is not asked again.
    const left = await unpacker.cleanUp(() => !(error instanceof DeadlineError));
    return failedOutcome(classifySystem(error), describe(error, delivery, delivery.path), left);
  } finally {
    deadline.end();
    keeper.end();
  }
}

class DirectoryTreeWriter implements TreeWriter {
  readonly atOnce = 32;
  readonly #openRoot: OpenRoot;
  readonly #keeper: HandleKeeper;
  readonly #delivery: TreeDelivery;
  readonly #base: string;
  readonly #directories: OpenDirectories;
  /** Staging directories by their names in the tree. */
  readonly #stagings = new Map<string, FileHandle>();
  /** Directories that something was put into. */
  readonly #touched = new Set<string>();
  /** Ends what has a deadline of its own. */
  readonly #stop = new AbortController();
  #root: FileHandle | undefined;

  constructor(openRoot: OpenRoot, keeper: HandleKeeper, delivery: TreeDelivery) {
    this.#openRoot = openRoot;
    this.#keeper = keeper;
    this.#delivery = delivery;
    setMaxListeners(0, this.#stop.signal);
    this.#base = delivery.path.replace(/(.)\/$/, '$1');
    this.#directories = new OpenDirectories(keeper, (name) => this.#reach(name, undefined));
  }

  async open(): Promise<void> {
    const { createDirs, uid, gid } = this.#delivery;
    this.#root = await this.#openRoot(this.#keeper);
    const make = createDirs ? createMaker(this.#keeper, isRoot() ? { uid, gid } : undefined) : undefined;
    try {
      await this.#keeper.close(await this.#reach('', make));
    } catch (error) {
      throw systemCode(error) === undefined
        ? error
        : new DeliveryError(classifySystem(error), describe(error, this.#delivery, this.#base), error);
    }
  }

  pathOf(name: string): string {
    if (name === '') return this.#base;
    return this.#base === '/' ? `/${name}` : `${this.#base}/${name}`;
  }

  async makeDirectory(name: string, mode: number): Promise<'made' | 'merged'> {
    const became = await this.#inParent(name, (parent, last) => makeOrMerge(entryOf(parent, last)));
    try {
      await this.#directories.use(name, async (handle) => {
        // Root's own until the end, when others may change what is in it.
        if (became === 'made') await handle.chmod((mode & 0o755) | 0o700);
        // One that an ordinary user closed to itself can be opened by it again; its mode comes at the end.
        else if (!isRoot()) await handle.chmod((await handle.stat()).mode | 0o700).catch(() => undefined);
      });
    } catch (error) {
      const code = systemCode(error);
      if (code !== 'ENOTDIR' && code !== 'ENOENT') throw error;
      throw refusal('parent_missing', `${this.pathOf(name)} is not a directory, where the archive has one`);
    }
    return became;
  }

  finishDirectory(name: string, mode: number): Promise<void> {
    const { uid, gid } = this.#delivery;
    return this.#directories.use(name, async (handle) => {
      if (isRoot()) await handle.chown(uid, gid);
      await handle.chmod(mode);
      await handle.sync();
    });
  }

  look(name: string): Promise<FoundType> {
    return this.#inParent(name, async (parent, last) => {
      try {
        const stats = await lstat(entryOf(parent, last));
        if (stats.isFile()) return 'file';
        if (stats.isDirectory()) return 'directory';
        return stats.isSymbolicLink() ? 'link' : 'other';
      } catch (error) {
        if (systemCode(error) === 'ENOENT') return 'missing';
        throw error;
      }
    });
  }

  async makeStaging({ directory, name }: Staging): Promise<void> {
    const entry = await this.#directories.use(directory, async (parent) => {
      const staged = entryOf(parent, name);
      await mkdir(staged, 0o700);
      return this.#keeper.open(staged, OPEN_DIRECTORY);
    });
    this.#stagings.set(`${directory}/${name}`, entry);
    await entry.chmod(0o700);
  }

  async removeStaging({ directory, name }: Staging): Promise<void> {
    this.#touched.add(directory);
    try {
      await this.#directories.use(directory, (parent) => removeStaged(parent, name, this.#keeper));
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  }

  async makeFile(
    staging: Staging,
    temporary: string,
    entry: FileEntry,
    content: Buffer | undefined,
    moved: (bytes: number) => void,
  ): Promise<void> {
    const { payload, uid, gid, timeoutMs } = this.#delivery;
    const file = await this.#keeper.open(this.#staged(staging, temporary), CREATE_NEW, 0o600);
    const source = content === undefined ? sliceOf(payload, entry) : createInlineSource(content);
    const deadline = new Deadline(timeoutMs, this.#stop.signal);
    let told = 0;
    try {
      const written = await writePayload(file, source, deadline, (done) => {
        moved(done - told);
        told = done;
      });
      if (written !== entry.sizeBytes)
        throw new DeliveryError(permanent('payload_lost'), 'The stored archive is too short');
    } finally {
      deadline.end();
    }
    if (isRoot()) await file.chown(uid, gid);
    await file.chmod(entry.mode);
    await file.sync();
    const { size } = await file.stat();
    if (size !== entry.sizeBytes) {
      const message = `The instance kept ${size} bytes of ${entry.sizeBytes}`;
      throw new DeliveryError(transient('instance_disk_full', 'job', true), message);
    }
    await this.#keeper.close(file);
  }

  async makeLink(staging: Staging, temporary: string, target: string): Promise<void> {
    const { uid, gid } = this.#delivery;
    const entry = this.#staged(staging, temporary);
    await symlink(target, entry);
    if (isRoot()) await lchown(entry, uid, gid);
  }

  async rename(staging: Staging, temporary: string, name: string): Promise<void> {
    await this.#inParent(name, (parent, last) =>
      rename(this.#staged(staging, temporary), entryOf(parent, last)),
    );
    this.#touched.add(parentOf(name));
  }

  removeTemporary(staging: Staging, temporary: string): Promise<void> {
    return unlink(this.#staged(staging, temporary));
  }

  async settle(): Promise<void> {
    for (const name of this.#touched) await this.#directories.use(name, (handle) => handle.sync());
  }

  codeOf(error: unknown): string | undefined {
    return systemCode(error instanceof DeliveryError ? error.cause : error);
  }

  explain(error: unknown, name: string): unknown {
    const code = systemCode(error);
    if (code === undefined || error instanceof DeliveryError) return error;
    // What was there a moment ago went away; it is made again next time.
    const verdict = code === 'ENOENT' ? transient('instance_unavailable', 'job') : classifySystem(error);
    return new DeliveryError(verdict, describe(error, this.#delivery, this.pathOf(name)), error);
  }

  end(): void {
    this.#stop.abort();
  }

  /** Opens a directory of the tree, from the instance's own on. */
  async #reach(name: string, make: ReturnType<typeof createMaker> | undefined): Promise<FileHandle> {
    if (this.#root === undefined) throw new Error('The instance is not open');
    const names = [...byteNames(this.#base), ...byteNames(name), '.'];
    const { directory } = await findEntry({ handle: this.#root, keeper: this.#keeper, make }, names);
    return directory;
  }

  #inParent<T>(name: string, act: (parent: FileHandle, last: string) => Promise<T>): Promise<T> {
    const last = byteNames(name).at(-1) ?? '.';
    return this.#directories.use(parentOf(name), (parent) => act(parent, last));
  }

  #staged({ directory, name }: Staging, temporary: string): Buffer {
    const handle = this.#stagings.get(`${directory}/${name}`);
    if (handle === undefined) throw new Error('There is no such staging directory');
    return entryOf(handle, temporary);
  }
}

async function makeOrMerge(entry: Buffer): Promise<'made' | 'merged'> {
  try {
    await mkdir(entry, 0o700);
    return 'made';
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return 'merged';
    throw error;
  }
}
