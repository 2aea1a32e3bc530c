/** The two built programs as real processes, for tests that look at the whole. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { WireJob } from '../../src/protocol/job-wire.ts';

/** Another build may be tested, such as one in which the handling of a fault was taken out. */
const BIN = process.env.INCUS_UPLOAD_TEST_BIN ?? fileURLToPath(new URL('../../bin', import.meta.url));

export type Daemon = {
  readonly socketPath: string;
  readonly stateDir: string;
  /** Starts the daemon and resolves once it listens. */
  start(): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves to its exit status. */
  stop(): Promise<number | null>;
  /** GET of a JSON route. */
  get(path: string): Promise<unknown>;
  jobs(query: string): Promise<WireJob[]>;
  /** Resolves when no job is unfinished. */
  untilIdle(): Promise<void>;
  /** Peak of resident memory, bytes. */
  peakMemoryBytes(): Promise<number>;
  /** What it has written to standard error. */
  readonly log: () => string;
  close(): Promise<void>;
};

export async function startDaemon(options: {
  readonly target: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}): Promise<Daemon> {
  const directory = mkdtempSync(join(tmpdir(), 'iu-daemon-'));
  const socketPath = join(directory, 'd.sock');
  const stateDir = join(directory, 'state');
  let child: ChildProcess | undefined;
  let log = '';

  async function start(): Promise<void> {
    const args = ['--target', options.target, '--state-dir', stateDir, '--listen', `unix:${socketPath}`];
    const started = spawn(
      join(BIN, 'incus-uploadd'),
      [...args, '--min-free-space', '0', '--log-format', 'json', ...(options.args ?? [])],
      { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...options.env } },
    );
    child = started;
    const ready = new Promise<void>((resolve, reject) => {
      started.stderr?.on('data', (chunk: Buffer) => {
        log += chunk.toString();
        if (chunk.includes('"msg":"listening"')) resolve();
      });
      started.once('exit', (status) => reject(new Error(`incus-uploadd ended with ${status}: ${log}`)));
    });
    await ready;
  }

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return null;
    const exited = once(running, 'exit');
    running.kill(signal);
    const [status] = await exited;
    return typeof status === 'number' ? status : null;
  }

  function get(path: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const req = request({ socketPath, path }, async (res) => {
        let body = '';
        for await (const chunk of res) body += String(chunk);
        resolve(JSON.parse(body));
      });
      req.on('error', reject);
      req.end();
    });
  }

  async function untilIdle(): Promise<void> {
    for (;;) {
      const { jobs } = (await get('/v1/info')) as { jobs: Record<string, number> };
      if (jobs.queued === 0 && jobs.deferred === 0 && jobs.delivering === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  await start();
  return {
    socketPath,
    stateDir,
    start,
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
    get,
    jobs: async (query) => ((await get(`/v1/jobs${query}`)) as { jobs: WireJob[] }).jobs,
    untilIdle,
    peakMemoryBytes: async () => {
      const status = readFileSync(`/proc/${child?.pid}/status`, 'utf8');
      return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) * 1024;
    },
    log: () => log,
    close: async () => {
      await end('SIGTERM');
      if (existsSync(directory)) rmSync(directory, { recursive: true, force: true });
    },
  };
}

export type Ran = { readonly status: number | null; readonly stdout: string; readonly stderr: string };

/** Runs `incus-upload push ARGS…` against the daemon, off a terminal. */
export function pushFile(daemon: Daemon, args: readonly string[]): Promise<Ran> {
  return runClient(daemon, ['push', ...args]);
}

/** Runs `incus-upload ARGS…` against the daemon, off a terminal. */
export async function runClient(daemon: Daemon, args: readonly string[]): Promise<Ran> {
  const child = spawn(join(BIN, 'incus-upload'), ['--url', `unix:${daemon.socketPath}`, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [status] = await once(child, 'close');
  return { status: typeof status === 'number' ? status : null, stdout, stderr };
}
