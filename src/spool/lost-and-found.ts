/**
 * STATE_DIR/lost+found: where `fsck` puts what it cannot use, for people to look at. Nothing in it is ever read or removed
 * by these programs. What was put there is on stable storage before the journal forgets it.
 */
import { link, mkdir, open, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { systemCode } from '../errors.ts';
import { syncPath } from './sync-path.ts';

export class LostAndFound {
  readonly #directory: string;

  constructor(stateDir: string) {
    this.#directory = join(stateDir, 'lost+found');
  }

  /** Moves a file there; resolves to its new path. A file that is not there any more is no error. */
  async move(path: string, name = basename(path)): Promise<string> {
    const moved = await this.#claim(name, async (target) => {
      await link(path, target).catch((error: unknown) => {
        if (systemCode(error) !== 'ENOENT') throw error;
      });
    });
    await unlink(path).catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error;
    });
    await syncPath(dirname(path));
    return moved;
  }

  /** Writes bytes to a new file there; resolves to its path. */
  keep(name: string, bytes: Uint8Array): Promise<string> {
    return this.#claim(name, async (target) => {
      const handle = await open(target, 'wx', 0o600);
      try {
        await handle.writeFile(bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
    });
  }

  /** Makes a file under a name that is not taken, by `make`, which fails with EEXIST when it is. */
  async #claim(name: string, make: (target: string) => Promise<void>): Promise<string> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    for (let count = 0; ; count += 1) {
      const target = join(this.#directory, count === 0 ? name : `${name}.${count}`);
      try {
        await make(target);
        await syncPath(this.#directory);
        await syncPath(dirname(this.#directory));
        return target;
      } catch (error) {
        if (systemCode(error) !== 'EEXIST') throw error;
      }
    }
  }
}
