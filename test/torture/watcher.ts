/**
 * Looks at final names again and again while the daemon is killed and its target breaks: whatever stands there must be a
 * whole file that was sent to that path. Whether it may have been delivered is judged in the end, when all is known.
 */
import { close, fstatSync, openSync, rmSync, type Stats } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { systemCode } from '../../src/errors.ts';
import type { Breaches } from './breaches.ts';
import type { Content } from './content.ts';
import type { Entry, Ledger } from './ledger.ts';
import { hostPath, type Place } from './place.ts';

export type WatcherOptions = {
  readonly content: Content;
  readonly ledger: Ledger;
  readonly breaches: Breaches;
  /** Files that several uploads write. */
  readonly sharedFiles: readonly { readonly place: Place; readonly path: string }[];
};

/** Files with one upload each that are waited for at once. */
const MOST_SINGLE = 400;

export class Watcher {
  readonly #options: WatcherOptions;
  readonly #seen = new Map<string, string>();
  #lastSingle = 0;
  #single: Entry[] = [];
  /** Files with one upload each that were seen last. */
  #fresh: { readonly entry: Entry; readonly file: string; readonly ctimeMs: number }[] = [];
  /** Looks at a file that was there. */
  looks = 0;
  /** Files that were taken away by power cuts. */
  lost = 0;
  /** When power was cut. */
  readonly cutsAtMs: number[] = [];

  constructor(options: WatcherOptions) {
    this.#options = options;
  }

  async run(stopped: () => boolean): Promise<void> {
    while (!stopped()) {
      await this.lookAtShared();
      await this.#lookAtSingle();
      await delay(15);
    }
  }

  /** As a power cut would: removes files that were put into place since a time, and waits for them again. */
  loseSince(sinceMs: number): void {
    for (const { entry, file, ctimeMs } of this.#fresh) {
      if (ctimeMs < sinceMs) continue;
      rmSync(file, { force: true });
      this.#seen.delete(file);
      this.#single.push(entry);
      this.lost += 1;
    }
    this.#fresh = [];
  }

  async lookAtShared(): Promise<void> {
    for (const { place, path } of this.#options.sharedFiles) await this.look(place, path);
  }

  /** Resolves to the number of the upload that stands there, or undefined when nothing (that may) stands there. */
  async look(place: Place, path: string): Promise<number | undefined> {
    const file = hostPath(place, path);
    let fd: number;
    try {
      fd = openSync(file, 'r');
    } catch (error) {
      const code = systemCode(error);
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      throw error;
    }
    try {
      return await this.#judge(fd, file, place, path);
    } finally {
      close(fd, () => {});
    }
  }

  async #judge(fd: number, file: string, place: Place, path: string): Promise<number | undefined> {
    const { breaches, ledger } = this.#options;
    const stat = fstatSync(fd);
    const number = place.keepsOwner
      ? ledger.numberAt(stat.gid - place.idOffset, place, path)
      : await this.#numberByBytes(fd, stat, place, path);
    const mark = `${stat.ino} ${stat.ctimeMs} ${stat.size} ${number}`;
    if (this.#seen.get(file) === mark) return number;
    this.looks += 1;
    const entry = number === undefined ? undefined : ledger.find(number);
    const problem =
      entry === undefined
        ? 'no upload is known by its owner or bytes'
        : this.#problem(entry, stat, place, path);
    if (entry === undefined || problem !== undefined) {
      breaches.add(
        `${place.project}/${place.instance}:${path} shows ${stat.size} bytes, gid ${stat.gid}: ${problem}`,
      );
      return number;
    }
    const at = await this.#options.content.firstDifference(fd, entry.plan.content, entry.plan.sizeBytes);
    if (at !== undefined) {
      breaches.add(
        `${place.project}/${place.instance}:${path} differs from upload ${entry.plan.number} from byte ${at} on`,
      );
      return number;
    }
    this.#seen.set(file, mark);
    if (!entry.plan.shared) this.#fresh.push({ entry, file, ctimeMs: stat.ctimeMs });
    ledger.saw(file, entry.plan.number, stat.ctimeMs);
    return number;
  }

  #problem({ plan }: Entry, stat: Stats, place: Place, path: string): string | undefined {
    if (plan.place !== place || plan.finalPath !== path) {
      return `upload ${plan.number} was sent to ${plan.instance}:${plan.finalPath}`;
    }
    if (plan.mustFailWith !== undefined) return `upload ${plan.number} cannot be there`;
    if (stat.size !== plan.sizeBytes) return `upload ${plan.number} has ${plan.sizeBytes} bytes`;
    if ((stat.mode & 0o7777) !== plan.mode) {
      return `upload ${plan.number} has mode ${plan.mode.toString(8)}, not ${(stat.mode & 0o7777).toString(8)}`;
    }
    if (place.keepsOwner && stat.uid - place.idOffset !== plan.uid) {
      return `upload ${plan.number} has uid ${plan.uid}, not ${stat.uid - place.idOffset}`;
    }
    return undefined;
  }

  async #numberByBytes(fd: number, { size }: Stats, place: Place, path: string): Promise<number | undefined> {
    for (const { plan } of this.#options.ledger.entries().reverse()) {
      if (plan.place !== place || plan.finalPath !== path || plan.sizeBytes !== size) continue;
      const at = await this.#options.content.firstDifference(fd, plan.content, size);
      if (at === undefined) return plan.number;
    }
    return undefined;
  }

  /** Each until it was seen once; the newest first when there are too many. */
  async #lookAtSingle(): Promise<void> {
    const { ledger } = this.#options;
    for (let entry = ledger.find(this.#lastSingle + 1); entry !== undefined; ) {
      this.#lastSingle += 1;
      if (!entry.plan.shared) this.#single.push(entry);
      entry = ledger.find(this.#lastSingle + 1);
    }
    const now = this.#single.slice(-MOST_SINGLE);
    this.#single = [];
    const waiting: Entry[] = [];
    for (const entry of now) {
      const { place, finalPath } = entry.plan;
      if ((await this.look(place, finalPath)) === undefined) waiting.push(entry);
    }
    this.#single = [...waiting, ...this.#single];
    this.#fresh = this.#fresh.slice(-MOST_SINGLE);
  }
}
