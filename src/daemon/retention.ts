import { messageOf } from '../errors.ts';
import { forgetOldJobs } from '../spool/retention.ts';
import type { Spool } from '../spool/spool.ts';
import type { Log } from './log.ts';

const EVERY_MS = 60_000;
const FIRST_MS = 5000;

/** Has the records of long finished jobs removed, once a minute. */
export class Retention {
  #timer: NodeJS.Timeout;
  #stopped = false;
  #running: Promise<void> = Promise.resolve();

  constructor(spool: Spool, options: { retentionMs: number; nowMs: () => number; log: Log }) {
    const { retentionMs, nowMs, log } = options;
    const run = async (): Promise<void> => {
      try {
        const forgotten = await forgetOldJobs(spool, nowMs() - retentionMs, () => this.#stopped);
        if (forgotten > 0) log.info({ jobs: forgotten }, 'records of old jobs removed');
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'cannot remove the records of old jobs, trying again later');
      }
      if (!this.#stopped) this.#timer = schedule(EVERY_MS);
    };
    const schedule = (delayMs: number): NodeJS.Timeout =>
      setTimeout(() => {
        this.#running = run();
      }, delayMs).unref();
    this.#timer = schedule(Math.min(FIRST_MS, Math.max(retentionMs, 100)));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }
}
