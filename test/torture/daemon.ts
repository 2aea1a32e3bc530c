/** The daemon under test: a real process that is started, killed and started again on the same state directory. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { DaemonApi } from './daemon-api.ts';

export type DaemonOptions = {
  readonly launcher: string;
  /** Holds socket, log and crash file. */
  readonly directory: string;
  readonly stateDir: string;
  readonly args: readonly string[];
};

export type Crash = { readonly point: string; readonly times: number; readonly afterMs: number };

export type End =
  | { readonly kind: 'killed'; readonly at: string }
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'unexpected'; readonly what: string };

const START_TIMEOUT_MS = 60_000;
const CRASH_AT = pathToFileURL(new URL('crash-at.mjs', import.meta.url).pathname).href;

export class Daemon {
  readonly socketPath: string;
  readonly logPath: string;
  readonly api: DaemonApi;
  readonly #options: DaemonOptions;
  readonly #crashFile: string;
  /** Shown to the daemon instead of the machine's boot id; undefined where only root could do so. */
  readonly #bootFile: string | undefined;
  /** When its processes ended, oldest first. */
  readonly endedAtMs: number[] = [];
  #child: ChildProcess | undefined;
  #ended: Promise<End> = Promise.resolve({ kind: 'exited', code: 0 });
  #killing = false;

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.socketPath = join(options.directory, 's');
    this.logPath = join(options.directory, 'log');
    this.api = new DaemonApi(this.socketPath);
    this.#crashFile = join(options.directory, 'crashed-at');
    this.#bootFile = process.geteuid?.() === 0 ? join(options.directory, 'boot-id') : undefined;
    this.bootAnew();
  }

  /** Resolves when the present process has ended, however it did. */
  get ended(): Promise<End> {
    return this.#ended;
  }

  /** Resolves with how long it took until the daemon answered, or undefined when it ended before. */
  async start(extra: readonly string[], crash?: Crash): Promise<number | undefined> {
    const { launcher, args, stateDir, directory } = this.#options;
    rmSync(this.#crashFile, { force: true });
    this.#killing = false;
    const log = openSync(this.logPath, 'a');
    const startMs = performance.now();
    const [program = '', ...words] = [
      ...this.#ownBootId(),
      ...[process.execPath, launcher, '--listen', `unix:${this.socketPath}`, '--state-dir', stateDir],
      ...args,
      ...extra,
    ];
    const child = spawn(program, words, {
      cwd: directory,
      // Its own group: Ctrl-C is for the torture alone, which then ends it in its own way.
      detached: true,
      stdio: ['ignore', 'ignore', log],
      env: { ...process.env, ...this.#crashEnvironment(crash) },
    });
    closeSync(log);
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve({ kind: 'unexpected', what: error.message }));
      child.once('exit', (code, signal) => {
        this.endedAtMs.push(Date.now());
        resolve(this.#endOf(code, signal));
      });
    });
    return (await this.#untilReady(child)) ? performance.now() - startMs : undefined;
  }

  kill(): void {
    this.#killing = true;
    this.signal('SIGKILL');
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#running) this.#child?.kill(signal);
  }

  /** The next start is the first one after a start of the machine; false where that cannot be played. */
  bootAnew(): boolean {
    if (this.#bootFile !== undefined) writeFileSync(this.#bootFile, `${randomUUID()}\n`);
    return this.#bootFile !== undefined;
  }

  /** What it said last. */
  lastLogLine(): string {
    if (!existsSync(this.logPath)) return '';
    return readFileSync(this.logPath, 'utf8').trimEnd().split('\n').at(-1)?.slice(0, 500) ?? '';
  }

  get #running(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  /** In a mount namespace of its own the daemon sees our boot id; every step is an exec, so the pid stays. */
  #ownBootId(): string[] {
    if (this.#bootFile === undefined) return [];
    // A disk that is read-only right now would stay so for the daemon's whole life: the mark is on the mount as well, of
    // which the namespace has a copy. Without it the copy goes by the file system itself.
    const script = `
      mount --bind "$0" /proc/sys/kernel/random/boot_id || exit
      awk -v below="$1/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo |
        while read -r point; do mount -o remount,bind,rw "$point" 2>/dev/null; done
      shift
      exec "$@"`;
    return ['unshare', '--mount', 'sh', '-c', script, this.#bootFile, dirname(this.#bootFile)];
  }

  #crashEnvironment(crash: Crash | undefined): Record<string, string> {
    if (crash === undefined) return {};
    const { point, times, afterMs } = crash;
    return {
      NODE_OPTIONS: `--import=${CRASH_AT}`,
      INCUS_UPLOAD_CRASH_AT: `${point}:${times}:${afterMs}:${this.#crashFile}`,
    };
  }

  #endOf(code: number | null, signal: NodeJS.Signals | null): End {
    if (signal === 'SIGKILL') {
      if (existsSync(this.#crashFile)) return { kind: 'killed', at: readFileSync(this.#crashFile, 'utf8') };
      if (this.#killing) return { kind: 'killed', at: 'random' };
    }
    if (signal === null && code === 0) return { kind: 'exited', code };
    return { kind: 'unexpected', what: signal === null ? `exit status ${code}` : signal };
  }

  async #untilReady(child: ChildProcess): Promise<boolean> {
    const deadlineMs = performance.now() + START_TIMEOUT_MS;
    while (this.#child === child && this.#running) {
      // 503 means "not ready: disk low"; the daemon is there all the same.
      const answer = await this.api.ask('GET', '/readyz').catch(() => undefined);
      if (answer !== undefined) return true;
      if (performance.now() > deadlineMs) throw new Error('The daemon does not get ready');
      await delay(30);
    }
    return false;
  }
}
