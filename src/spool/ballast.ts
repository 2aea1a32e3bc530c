/**
 * A file of real bytes that is thrown off when the disk is full, so that outcomes of jobs that were accepted before can
 * still be written down. It is taken on again once there is room.
 */
import { statfsSync } from 'node:fs';
import { open, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

const SIZE_BYTES = 2 << 20;
/** What lmdb writes at once at most, roughly: with less room a short write is a full disk. */
const FULL_BELOW_BYTES = 8 << 20;
const RESTORE_EVERY_MS = 5000;
const ENOSPC = 28;
const EDQUOT = 122;
const EIO = 5;
const MDB_MAP_FULL = -30792;

export class Ballast {
  readonly #stateDir: string;
  readonly #path: string;
  #thrownOff = false;
  #triedAtMs = 0;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
    this.#path = join(stateDir, 'ballast');
  }

  /** Takes the ballast on if it is not there and there is room for it. */
  async takeOn(): Promise<void> {
    const there = await stat(this.#path).catch(() => undefined);
    if (there?.size === SIZE_BYTES || this.#freeBytes() < 2 * FULL_BELOW_BYTES) return;
    const handle = await open(this.#path, 'w', 0o600);
    try {
      await handle.writeFile(Buffer.alloc(SIZE_BYTES, 0x62));
      await handle.sync();
      this.#thrownOff = false;
    } catch (error) {
      // Half a ballast would only take room away.
      await unlink(this.#path).catch(() => undefined);
      throw error;
    } finally {
      await handle.close();
    }
  }

  /** After a commit that went well: takes the ballast on again, should it have been thrown off. */
  restore(nowMs: number): void {
    if (!this.#thrownOff || nowMs - this.#triedAtMs < RESTORE_EVERY_MS) return;
    this.#triedAtMs = nowMs;
    this.takeOn().catch(() => undefined);
  }

  /** Whether there was something to throw off. */
  async throwOff(): Promise<boolean> {
    this.#thrownOff = true;
    return unlink(this.#path).then(
      () => true,
      () => false,
    );
  }

  /** Whether a failed commit means a full disk; lmdb calls the short write that comes first EIO. */
  isDiskFull(error: Error): boolean {
    const code: unknown = 'code' in error ? error.code : undefined;
    if (code === ENOSPC || code === EDQUOT || code === MDB_MAP_FULL || code === 'ENOSPC' || code === 'EDQUOT')
      return true;
    return (code === EIO || code === 'EIO') && this.#freeBytes() < FULL_BELOW_BYTES;
  }

  #freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.#stateDir);
    return bavail * bsize;
  }
}
