import { statfsSync } from 'node:fs';
import { formatSize } from '../base/size.ts';
import { CodedError, systemCode } from '../errors.ts';

const FRESH_MS = 100;
const RETRY_AFTER_SECONDS = 30;

/** Room that can be made at once: payloads that are kept only for the case of a power cut. */
export type Reclaimable = {
  readonly reclaimableBytes: number;
  /** Starts giving the room back, unless that is under way. Never rejects. */
  makeRoom(): Promise<unknown>;
};

/**
 * Free bytes of the state directory's file system, looked at no more than ten times a second; what is written between
 * two looks is counted. Uploads under way reserve what they have declared and not written yet, so that many at once
 * cannot promise the same room.
 */
export class DiskSpace {
  /** What is kept free: uploads that would take of it are refused. */
  readonly minFreeBytes: number;
  readonly #path: string;
  readonly #nowMs: () => number;
  readonly #reclaimable: Reclaimable;
  #freeBytes = 0;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  /** Written since, or a little before. */
  #writtenBytes = 0;
  #reservedBytes = 0;
  #makingRoom = false;

  constructor(path: string, minFreeBytes: number, nowMs: () => number, reclaimable: Reclaimable) {
    this.#path = path;
    this.minFreeBytes = minFreeBytes;
    this.#nowMs = nowMs;
    this.#reclaimable = reclaimable;
  }

  /** Free for this process's user. */
  freeBytes(): number {
    const nowMs = this.#nowMs();
    if (this.#makingRoom || Math.abs(nowMs - this.#lookedAtMs) >= FRESH_MS) {
      const { bavail, bsize } = statfsSync(this.#path);
      this.#freeBytes = bavail * bsize;
      this.#writtenBytes = 0;
      this.#lookedAtMs = nowMs;
    }
    return this.#freeBytes - this.#writtenBytes;
  }

  /** Whether `moreBytes` still fit above the least free space, counting what can be made free at once. */
  hasRoomFor(moreBytes: number): boolean {
    return this.#missingBytes(moreBytes) <= this.#reclaimable.reclaimableBytes;
  }

  /** Throws `disk_low` unless `moreBytes` still fit; has room made when they only just do not. */
  check(moreBytes: number): void {
    if (this.#missingBytes(moreBytes) <= 0) return;
    // The look may be from before room was made, and may know what is counted as written since.
    if (this.#writtenBytes > 0) this.#lookedAtMs = Number.NEGATIVE_INFINITY;
    const missingBytes = this.#missingBytes(moreBytes);
    if (missingBytes <= 0) return;
    if (this.#reclaimable.reclaimableBytes > 0) void this.#makeRoom();
    if (missingBytes <= this.#reclaimable.reclaimableBytes) return;
    throw new CodedError(
      'disk_low',
      `The disk of the daemon has ${formatSize(this.freeBytes())} free, of which ${formatSize(this.minFreeBytes)} must stay free`,
      { retryAfterSeconds: RETRY_AFTER_SECONDS },
    );
  }

  reserve(bytes: number): void {
    this.#reservedBytes += bytes;
  }

  release(bytes: number): void {
    this.#reservedBytes -= bytes;
  }

  /** So much more was written. */
  wrote(bytes: number): void {
    this.#writtenBytes += bytes;
  }

  #missingBytes(moreBytes: number): number {
    return this.minFreeBytes + this.#reservedBytes + moreBytes - this.freeBytes();
  }

  async #makeRoom(): Promise<void> {
    if (this.#makingRoom) return;
    this.#makingRoom = true;
    await this.#reclaimable.makeRoom();
    this.#makingRoom = false;
    this.#lookedAtMs = Number.NEGATIVE_INFINITY;
  }
}

/** Whether a system call failed because the disk, or the user's share of it, is full. */
export function isDiskFull(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** Whether something was refused because the disk is full or low. */
export function isDiskLow(error: unknown): boolean {
  return error instanceof CodedError && error.code === 'disk_low';
}

/** `disk_low` for an error that means a full disk; any other stays as it is. */
export function diskError<E>(error: E): E | CodedError {
  if (!isDiskFull(error)) return error;
  return new CodedError('disk_low', 'The disk of the daemon is full; make room there, then try again', {
    cause: error,
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
}
