/**
 * Unpacks one archive, whatever the kind of target: many small files at once, each made under a number in a staging
 * directory inside the destination and then renamed into its place. One such directory for all files, since then one note
 * in the journal is enough to find all that a killed daemon left, and readers of the tree never meet a half file, nor a
 * name that is not theirs. Where a directory of the tree is a file system of its own, it gets a staging directory of its own.
 *
 * Promises: each file and link appears whole, with owner and mode, or not at all; a file, link or nothing at its name is
 * replaced; directories are merged into those that are there, which may be links to directories. Owner and mode of
 * directories come last, so that one that is read-only can be filled, and a directory of this archive cannot be changed by
 * others meanwhile. A file that a later delivery has written stays. After a failure what was already renamed stays, and is
 * put there again by the next attempt; after a crash the staging directory is left, announced before it was made, and
 * directories still belong to root until then.
 */
import { Deadline } from './deadline.ts';
import { DeliveryError, payloadError, refusal, transient } from './failure.ts';
import { parentOf, StagingDirectories } from './staging-directories.ts';
import type { TreeDelivery } from './target.ts';
import { TaskWindow } from './task-window.ts';
import { readTree, type TreeItem } from './tree-reader.ts';
import type { Staging, TreeWriter } from './tree-writer.ts';

const MAX_BYTES = 16 * 1024 * 1024;
/** So much of a large file counts as under way at once. */
const MAX_WEIGHT_BYTES = 8 * 1024 * 1024;
const DIRECTORY_MODE = 0o755;
/** Time for removing staging directories after a failure. */
const CLEAN_UP_MS = 5000;

/** `merged`: it was there before, and so may be what is in it. */
type Directory = { ready: Promise<void>; merged: boolean };

export class TreeUnpacker {
  readonly #writer: TreeWriter;
  readonly #delivery: TreeDelivery;
  readonly #deadline: Deadline;
  readonly #window: TaskWindow;
  readonly #directories = new Map<string, Directory>();
  /** Modes that directories get at the end. */
  readonly #modes = new Map<string, number>();
  readonly #stagings: StagingDirectories;
  readonly #underWay = new Set<string>();
  #asked = 0;
  #temporaries = 0;
  #sizeBytes = 0;
  #bytes = 0;

  constructor(writer: TreeWriter, delivery: TreeDelivery, deadline: Deadline) {
    this.#writer = writer;
    this.#delivery = delivery;
    this.#deadline = deadline;
    this.#window = new TaskWindow(writer.atOnce, MAX_BYTES);
    this.#stagings = new StagingDirectories(writer, delivery, (work) => this.#ask(work));
  }

  /** Rejects with a `DeliveryError`, a `DeadlineError` or what ended the session; `cleanUp` has to follow then. */
  async run(): Promise<void> {
    const { payload, onProgress } = this.#delivery;
    await this.#deadline.run('unpack', async () => {
      this.#deadline.counting = false;
      this.#sizeBytes = await payload.committed.catch((error: unknown) => {
        throw payloadError(error);
      });
      await this.#ask(() => this.#writer.open());
      this.#directories.set('', { ready: Promise.resolve(), merged: true });
      await this.#stagings.openIn('');
      for await (const items of readTree(payload, this.#sizeBytes)) {
        for (const item of items) await this.#start(item);
      }
      await this.#window.empty();
      await this.#finish();
      onProgress(this.#sizeBytes);
    });
  }

  /** After a failure; resolves to whether something may be left. `answers`: the other side still does. */
  async cleanUp(answers: () => boolean): Promise<boolean> {
    const deadline = new Deadline(CLEAN_UP_MS);
    this.#writer.end();
    try {
      if (!answers()) return this.#stagings.left > 0;
      // What was asked for before is done first: it may still make a file.
      await deadline.run('end', () => this.#window.settled());
      const remove = (staging: Staging) =>
        answers() ? this.#writer.removeStaging(staging) : Promise.reject(new Error('It does not answer'));
      await deadline.run('remove', () => this.#stagings.removeAll(remove));
      return false;
    } catch {
      return this.#stagings.left > 0;
    } finally {
      deadline.end();
    }
  }

  async #start({ entry, content }: TreeItem): Promise<void> {
    const { name } = entry;
    if (entry.kind === 'directory') {
      // The destination itself stays as it is.
      if (name === '') return;
      this.#modes.set(name, entry.mode);
      await this.#window.room();
      this.#window.add(0, this.#directory(name, entry.mode).ready);
      return;
    }
    const bytes = entry.kind === 'file' ? entry.sizeBytes : 0;
    await this.#window.room();
    // The same name again: the later one wins.
    if (this.#underWay.has(name)) await this.#window.empty();
    this.#underWay.add(name);
    this.#window.add(Math.min(bytes, MAX_WEIGHT_BYTES), this.#file({ entry, content }));
  }

  async #file(item: TreeItem): Promise<void> {
    const { entry } = item;
    const { name } = entry;
    const parent = parentOf(name);
    try {
      const directory = this.#directory(parent, DIRECTORY_MODE);
      let staging = await this.#stagings.nearest(parent);
      while (!(await this.#place(item, directory, staging))) {
        // The directory is another file system than its staging directory, which a rename cannot leave.
        if (staging.directory === parent)
          throw refusal('permission_denied', 'It lies on another file system');
        staging = await this.#stagings.openIn(parent);
      }
    } catch (error) {
      throw this.#writer.explain(error, name);
    } finally {
      this.#underWay.delete(name);
    }
  }

  /** Makes one file or link and puts it into its place; false when that is on another file system. */
  async #place({ entry, content }: TreeItem, directory: Directory, staging: Staging): Promise<boolean> {
    const { isOvertaken, onFile, onRename } = this.#delivery;
    const { name } = entry;
    const writer = this.#writer;
    this.#temporaries += 1;
    const temporary = this.#temporaries.toString(36);
    await this.#ask(async () => {
      if (entry.kind === 'symlink') return writer.makeLink(staging, temporary, entry.target);
      if (entry.kind === 'file')
        return writer.makeFile(staging, temporary, entry, content, (bytes) => this.#moved(bytes));
    });
    await directory.ready;
    if (directory.merged) await this.#check(name);
    const path = writer.pathOf(name);
    const overtaken = isOvertaken(path);
    try {
      if (overtaken) await this.#ask(() => writer.removeTemporary(staging, temporary));
      else {
        onRename?.();
        await this.#ask(() => writer.rename(staging, temporary, name));
      }
    } catch (error) {
      const code = writer.codeOf(error);
      if (code === 'EXDEV') {
        await this.#ask(() => writer.removeTemporary(staging, temporary));
        if (entry.kind === 'file') this.#bytes -= entry.sizeBytes;
        return false;
      }
      if (code === 'EEXIST' || code === 'EISDIR') throw isDirectory(path);
      throw error;
    }
    onFile(path, !overtaken);
    return true;
  }

  /** Only in a directory that was there before can there be something that must not be replaced. */
  async #check(name: string): Promise<void> {
    const type = await this.#ask(() => this.#writer.look(name));
    const path = this.#writer.pathOf(name);
    if (type === 'directory') throw isDirectory(path);
    if (type === 'other')
      throw refusal('permission_denied', `${path} is a device, a pipe or a socket, not a file`);
  }

  /** The directory of that name, which is being made with all above it, unless it was already. */
  #directory(name: string, mode: number): Directory {
    const known = this.#directories.get(name);
    if (known !== undefined) return known;
    const parent = this.#directory(parentOf(name), DIRECTORY_MODE);
    const directory: Directory = { ready: Promise.resolve(), merged: true };
    directory.ready = this.#makeDirectory(name, mode, directory, parent);
    // Whoever needs it sees the failure.
    directory.ready.catch(() => undefined);
    this.#directories.set(name, directory);
    return directory;
  }

  async #makeDirectory(name: string, mode: number, directory: Directory, parent: Directory): Promise<void> {
    await parent.ready;
    try {
      const became = await this.#ask(() => this.#writer.makeDirectory(name, mode));
      directory.merged = became === 'merged';
      if (became === 'made' && !this.#modes.has(name)) this.#modes.set(name, DIRECTORY_MODE);
    } catch (error) {
      throw this.#writer.explain(error, name);
    }
  }

  /** All files are in their places. */
  async #finish(): Promise<void> {
    await this.#stagings.removeAll((staging) => this.#ask(() => this.#writer.removeStaging(staging)));
    await this.#ask(() => this.#writer.settle());
    // The deepest first: an ordinary user could not pass a directory that is closed already.
    const byDepth = Array.from(this.#modes, ([name, mode]) => ({
      name,
      mode,
      depth: name.split('/').length,
    }));
    byDepth.sort((a, b) => b.depth - a.depth);
    let depth = byDepth[0]?.depth;
    for (const directory of byDepth) {
      if (directory.depth !== depth) await this.#window.empty();
      depth = directory.depth;
      await this.#window.room();
      this.#window.add(0, this.#finishDirectory(directory.name, directory.mode));
    }
    await this.#window.empty();
  }

  async #finishDirectory(name: string, mode: number): Promise<void> {
    try {
      await this.#ask(() => this.#writer.finishDirectory(name, mode));
    } catch (error) {
      throw this.#writer.explain(error, name);
    }
  }

  /** Asks the other side for something. Time counts while anything is asked, and starts anew whenever something is done. */
  async #ask<T>(work: () => Promise<T>): Promise<T> {
    if (this.#deadline.over) throw new DeliveryError(transient('cancelled', 'job'), 'The delivery has ended');
    this.#asked += 1;
    this.#deadline.counting = true;
    try {
      return await work();
    } finally {
      this.#asked -= 1;
      if (!this.#deadline.over) this.#deadline.counting = this.#asked > 0;
    }
  }

  /** The other side has confirmed so many bytes of a file. */
  #moved(bytes: number): void {
    this.#bytes += bytes;
    if (this.#deadline.over) return;
    this.#deadline.counting = true;
    // What a hard link is to counts for each, so there may be more than the archive has.
    this.#delivery.onProgress(Math.min(this.#bytes, this.#sizeBytes));
  }
}

function isDirectory(path: string): DeliveryError {
  return refusal('destination_is_directory', `${path} is a directory, where the archive has a file`);
}
