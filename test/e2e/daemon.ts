/** A real daemon as a process of its own, built by `npm run build`, delivering into a directory. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Answer, request } from '../http/request.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const DAEMON = join(ROOT, 'bin', 'incus-uploadd');
export const CLIENT = join(ROOT, 'bin', 'incus-upload');
const DEADLINE_MS = 30_000;

/** Where a daemon keeps and delivers; outlives the daemon, so that another can follow it. */
export type Place = {
  readonly directory: string;
  readonly socketPath: string;
  readonly stateDir: string;
  /** Each subdirectory is an instance. */
  readonly target: string;
  delivered(instance: string, path: string): Buffer | undefined;
  payloadFiles(): string[];
  remove(): void;
};

export function createPlace(instances: readonly string[] = ['web']): Place {
  const directory = mkdtempSync(join(tmpdir(), 'incus-upload-e2e-'));
  const target = join(directory, 'instances');
  const stateDir = join(directory, 'state');
  for (const instance of instances) mkdirSync(join(target, instance), { recursive: true });
  return {
    directory,
    socketPath: join(directory, 'socket'),
    stateDir,
    target,
    delivered: (instance, path) => {
      const file = join(target, instance, path);
      return existsSync(file) ? readFileSync(file) : undefined;
    },
    payloadFiles: () => readdirSync(join(stateDir, 'payloads')),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

export type LogRecord = Readonly<Record<string, unknown>> & { readonly msg: string };

export class Daemon {
  readonly place: Place;
  readonly child: ChildProcess;
  /** Resolves to the exit status, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
  stderr = '';
  port = 0;

  constructor(place: Place, child: ChildProcess) {
    this.place = place;
    this.child = child;
    child.stderr?.setEncoding('utf8');
    child.stderr?.on('data', (text: string) => {
      this.stderr += text;
    });
    this.exited = new Promise((resolve) => {
      child.once('close', (status, signal) => resolve(status ?? signal ?? -1));
    });
  }

  /** The records of its log so far. */
  log(): LogRecord[] {
    const lines = this.stderr.split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as LogRecord);
  }

  get isOver(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async stop(): Promise<number | NodeJS.Signals> {
    if (!this.isOver) this.signal('SIGTERM');
    return this.exited;
  }

  get(path: string): Promise<Answer> {
    return request(this.place.socketPath, 'GET', path);
  }

  async job(id: string): Promise<Record<string, unknown>> {
    return JSON.parse((await this.get(`/v1/jobs/${id}`)).text);
  }

  async info(): Promise<Record<string, unknown> & { uploads: number; jobs: Record<string, number> }> {
    return JSON.parse((await this.get('/v1/info')).text);
  }

  /** Largest resident memory since the start, in MiB. */
  peakMemoryMib(): number {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
  }
}

/**
 * Starts a daemon and resolves once it listens on a unix socket and on a port of 127.0.0.1, which is open to everybody
 * unless told otherwise.
 */
export async function startDaemon(
  place: Place,
  args: readonly string[] = [],
  access: 'open' | 'closed' = 'open',
): Promise<Daemon> {
  const listen = ['--listen', `unix:${place.socketPath}`, '--listen', 'http://127.0.0.1:0'];
  const daemon = spawnDaemon(place, [...listen, ...(access === 'open' ? ['--no-auth'] : []), ...args]);
  await eventually('the daemon listens', () => {
    if (daemon.isOver) throw new Error(`The daemon ended: ${daemon.stderr}`);
    return daemon.stderr.split('"listening"').length > 2;
  });
  for (const { msg, address } of daemon.log()) {
    if (msg === 'listening') daemon.port ||= Number(/^http:.*:(\d+)$/.exec(String(address))?.[1] ?? 0);
  }
  return daemon;
}

/** Starts a daemon without waiting for anything. */
export function spawnDaemon(place: Place, args: readonly string[]): Daemon {
  const common = [
    '--state-dir',
    place.stateDir,
    '--target',
    `dir:${place.target}`,
    '--min-free-space',
    '1MiB',
  ];
  const child = spawn(
    process.execPath,
    [DAEMON, ...common, '--linger', '0s', '--log-format', 'json', ...args],
    {
      env: cleanEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  return new Daemon(place, child);
}

/** Runs a command of the daemon's program to its end. */
export function runUploadd(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [DAEMON, '--config', '/dev/null', ...args], {
    env: cleanEnvironment(),
    encoding: 'utf8',
  });
}

/** The environment without what would change the programs. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(?:INCUS_|LISTEN_|NOTIFY_SOCKET$|STATE_DIRECTORY$|XDG_|NODE_)/.test(name),
  );
  return Object.fromEntries(kept);
}

export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = DEADLINE_MS,
): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`Did not come about: ${what}`);
    await delay(10);
  }
}
