/** What every row works with: the tools, a directory on a real disk, the contenders, and how large to measure. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from './command.ts';
import type { IncusSandbox } from './incus-sandbox.ts';
import { decodeLoadResult, type LoadResult } from './load-result.ts';
import type { Samples } from './samples.ts';
import { Server } from './server.ts';
import type { Bound } from './statistics.ts';
import type { Tools } from './tools.ts';

export const OURS = 'incus-uploadd';
export const GO = 'Go, no sync';
export const GO_FSYNC = 'Go, one fsync';
export const NULL = 'null receiver';
export const COPY = 'cp + sync -f';
export const OURS_PUSH = 'incus-upload push';
export const INCUS_PUSH = 'incus file push';

export const MIB = 1 << 20;

export const least = (value: number): Bound => ({ is: '>=', value });
export const most = (value: number): Bound => ({ is: '<=', value });

export type Bench = {
  readonly tools: Tools;
  /** A directory of this bench alone, on the disk that is measured. */
  readonly dir: string;
  readonly quick: boolean;
  /** Runs of each contender, where the row names its own number of them. */
  runs(usual: number): number;
  /** The real Incus with instances c1 and c2; started on the first call. */
  incus(): Promise<IncusSandbox>;
  /** The same, undefined where there is none. */
  incusOrUndefined(): Promise<IncusSandbox | undefined>;
};

/** One row of the table. */
export type Row = {
  readonly number: string;
  readonly name: string;
  readonly title: string;
  /** Whether it needs the load generator, and so a C compiler, or an Incus. */
  readonly needs: readonly ('load' | 'incus')[];
  run(bench: Bench, samples: Samples): Promise<void>;
};

/** Runs `use` with a fresh directory below the bench's, and removes it. */
export async function withDirectory<T>(bench: Bench, use: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(bench.dir, 'd'));
  try {
    return await use(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

export type Start = (dir: string) => Promise<Server>;

/** Starts a server in a fresh directory, runs `use`, stops the server and removes the directory. */
export function withServer<T>(bench: Bench, start: Start, use: (server: Server) => Promise<T>): Promise<T> {
  return withDirectory(bench, async (dir) => {
    const server = await start(dir);
    try {
      return await use(server);
    } finally {
      await server.stop();
    }
  });
}

/** A target that is never there: nothing is delivered, the queue waits and spends no attempt. */
export const AWAY = 'unix:/nonexistent/incus-away.sock';

export function startUploadd(target: string, extra: readonly string[] = []): Start {
  return (dir) =>
    Server.start(
      dir,
      'bin/incus-uploadd',
      [
        '--listen',
        `unix:${dir}/s`,
        '--state-dir',
        `${dir}/state`,
        '--target',
        target,
        '--log-format',
        'json',
        ...extra,
      ],
      findListening,
    );
}

/** The ready record of the daemon, one JSON record a line. */
function findListening(log: string): string | undefined {
  for (const line of log.split('\n')) {
    if (!line.includes('"listening"')) continue;
    const address = /"address":"([^"]+)"/.exec(line)?.[1];
    if (address !== undefined) return address;
  }
  return undefined;
}

const findWord = (log: string): string | undefined => /^listening (\S+)\n/m.exec(log)?.[1];

/**
 * The Go receiver. Its consumer takes the jobs off the channel and leaves the files, as ours keeps them while Incus is
 * away: removing them would cost it time that ours does not spend.
 */
export function startBaseline(bench: Bench, extra: readonly string[] = []): Start {
  const program = bench.tools.baseline ?? 'baseline';
  return (dir) =>
    Server.start(dir, program, ['-listen', `unix:${dir}/s`, '-dir', dir, '-keep', ...extra], findWord);
}

export function startNullReceiver(bench: Bench): Start {
  return (dir) => Server.start(dir, bench.tools.nullReceiver ?? 'null', [`unix:${dir}/s`], findWord);
}

export type Load = {
  readonly connections: number;
  readonly requests: number;
  readonly sizeBytes: number;
  /** Number of the first request, so that paths differ from an earlier load's. */
  readonly first?: number;
  /** A %d in it becomes the number of the request. */
  readonly instance?: string;
  /** Where the files go, in place of /root/in. */
  readonly directory?: string;
  /** Sends GET of this path instead. */
  readonly get?: string;
};

export async function sendLoad(bench: Bench, server: Server, load: Load): Promise<LoadResult> {
  const words = [
    ['--to', server.address],
    ['--connections', String(load.connections)],
    ['--requests', String(load.requests)],
    ['--size', String(load.sizeBytes)],
    ['--first', String(load.first ?? 0)],
    ['--header', `X-Container-Name: ${load.instance ?? 'c1'}`],
    ['--header', `X-File-Path: ${load.directory ?? '/root/in'}/f%d`],
    ['--header', 'X-Host-Path: /home/user/f%d'],
    ...(load.get === undefined ? [] : [['--get', load.get]]),
  ];
  return decodeLoadResult(await runCommand(bench.tools.load ?? 'load', words.flat()));
}

/**
 * Makes runs alike: what the one before left to be written is written, and enough memory was used just now. In a
 * virtual machine whose free memory goes back to the host (free page reporting) the first use of memory that lay idle
 * for some seconds costs 1.5 to 3 s a GiB, ten times the copying itself; whoever came first would pay for it.
 */
export async function settle(bench: Bench, memoryBytes = 0): Promise<void> {
  if (bench.quick) return;
  await runCommand('sync', ['-f', bench.dir]);
  if (memoryBytes > 0 && bench.tools.disk !== undefined) {
    await runCommand(bench.tools.disk, [bench.dir, String(memoryBytes), 'cache']);
  }
}
