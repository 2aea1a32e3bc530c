/**
 * What systemd is told while the daemon runs: ready, a line of status when it has changed, that it is alive, stopping.
 * Alive means that the event loop turns and that the journal has just answered; a daemon in which one of them hangs
 * falls silent, and systemd ends and starts it.
 */
import { createNotifier, watchdogIntervalMs } from './systemd.ts';

export type ServiceReportsOptions = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  /** The line of status as it would be now. */
  readonly status: () => string;
  /** Settles when the journal has answered, be it that it cannot write just now. */
  readonly prove: () => Promise<void>;
  readonly onError: (message: string) => void;
};

/** Each report costs a process, so a busy queue is not told of more often. */
const STATUS_EVERY_MS = 5000;

export class ServiceReports {
  readonly #options: ServiceReportsOptions;
  readonly #notify: (...lines: string[]) => Promise<void>;
  readonly #timers: NodeJS.Timeout[] = [];
  #told = '';
  #isProving = false;
  #isStopping = false;

  constructor(options: ServiceReportsOptions) {
    this.#options = options;
    this.#notify = createNotifier(options.env, options.onError).notify;
  }

  /** Resolves when systemd has taken it; from now on reports follow. */
  async ready(): Promise<void> {
    const { env, pid, status } = this.#options;
    if (!env.NOTIFY_SOCKET) return;
    this.#told = status();
    await this.#notify('READY=1', `STATUS=${this.#told}`);
    this.#every(STATUS_EVERY_MS, () => this.#tellStatus());
    const aliveEveryMs = watchdogIntervalMs(env, pid);
    if (aliveEveryMs !== null) this.#every(aliveEveryMs, () => void this.#tellAlive());
  }

  /** Alive is told further on: the watchdog also guards the end. */
  stopping(): void {
    this.#isStopping = true;
    void this.#notify('STOPPING=1', 'STATUS=finishing uploads and deliveries');
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #every(intervalMs: number, report: () => void): void {
    this.#timers.push(setInterval(report, intervalMs).unref());
  }

  #tellStatus(): void {
    const status = this.#options.status();
    if (this.#isStopping || status === this.#told) return;
    this.#told = status;
    void this.#notify(`STATUS=${status}`);
  }

  async #tellAlive(): Promise<void> {
    if (this.#isProving) return;
    this.#isProving = true;
    // A full disk is an answer too: a restart would not make room.
    await this.#options.prove().catch(() => undefined);
    this.#isProving = false;
    void this.#notify('WATCHDOG=1');
  }
}
