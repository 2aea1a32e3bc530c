/**
 * Removes temporary files that no attempt will come back for: of uploads that were never accepted, of jobs that are
 * finished. What belongs to an unfinished job is left to its next attempt.
 */
import type { Spool } from '../spool/spool.ts';
import type { Temporary } from '../spool/temporaries.ts';
import type { Deliverer } from './attempt.ts';

const EVERY_MS = 30_000;

export class Janitor {
  readonly #spool: Spool;
  readonly #target: Pick<Deliverer, 'removeTemporary'>;
  /** Whether an attempt uses the file, or will look after it. */
  readonly #inUse: (temporary: Temporary) => boolean;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(
    spool: Spool,
    target: Pick<Deliverer, 'removeTemporary'>,
    inUse: (temporary: Temporary) => boolean,
  ) {
    this.#spool = spool;
    this.#target = target;
    this.#inUse = inUse;
  }

  /** Looks now, and again from time to time while something is left. */
  look(): void {
    if (this.#stopped) return;
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#running = this.#clean().finally(() => {
      this.#running = undefined;
      if (this.#again) {
        this.#again = false;
        this.look();
      } else if (!this.#stopped && this.#spool.temporaries.all().length > 0) {
        this.#timer = setTimeout(() => this.look(), EVERY_MS).unref();
      }
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #clean(): Promise<void> {
    /** Instances that did not answer: one wait each is enough for one look. */
    const silent = new Set<string>();
    const gone: Temporary[] = [];
    for (const temporary of this.#spool.temporaries.all()) {
      const { project, instance, path } = temporary;
      const lane = `${project}/${instance}`;
      if (this.#stopped || silent.has(lane) || this.#inUse(temporary)) continue;
      if (await this.#target.removeTemporary(project, instance, path)) gone.push(temporary);
      else silent.add(lane);
    }
    if (gone.length > 0) await this.#spool.temporaries.forget(gone).catch(() => undefined);
  }
}
