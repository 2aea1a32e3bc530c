/** The fake Incus in a process of its own, with everything that it can do wrong. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ErrorCode } from '../../src/errors.ts';
import type { FakeFaults } from '../support/fake-incus-sftp.ts';
import type { Arena } from './arena.ts';
import type { FakeOrder } from './fake-incus-process.ts';
import type { Fault } from './fault.ts';
import type { Place } from './place.ts';
import type { Random } from './random.ts';

const INSTANCES = ['default/c1', 'default/c2', 'web/c1'];
const PROGRAM = fileURLToPath(new URL('fake-incus-process.ts', import.meta.url));

export async function openFakeArena(directory: string): Promise<Arena> {
  const socketPath = join(directory, 'fake');
  const root = join(directory, 'instances');
  const isRoot = process.geteuid?.() === 0;
  const places = INSTANCES.map((name): Place => {
    const [project = '', instance = ''] = name.split('/');
    const hostDirectory = join(root, project, instance, 'data');
    mkdirSync(join(hostDirectory, 'in'), { recursive: true });
    return {
      project,
      instance,
      directory: '/data',
      hostDirectory,
      idOffset: 0,
      keepsOwner: isRoot,
      maxFileBytes: Number.POSITIVE_INFINITY,
      manyFiles: true,
    };
  });
  const fake = new FakeProcess([socketPath, root, ...INSTANCES]);
  await fake.start();
  return {
    kind: 'fake',
    targetUrl: `unix:${socketPath}`,
    places,
    faults: faultsOf(fake, socketPath),
    roots: [root],
    close: () => fake.kill(),
  };
}

class FakeProcess {
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;

  constructor(args: readonly string[]) {
    this.#args = args;
  }

  async start(): Promise<void> {
    this.#child = fork(PROGRAM, this.#args, { execArgv: ['--import', 'tsx'], detached: true });
    await this.#answer('ready');
  }

  async tell(order: FakeOrder): Promise<void> {
    const done = this.#answer('done');
    this.#child?.send(order);
    await done;
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGKILL');
    await ended;
  }

  #answer(expected: string): Promise<void> {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const done = (settle: () => void) => {
        child?.off('message', onMessage);
        child?.off('exit', onExit);
        settle();
      };
      const onExit = () => done(() => reject(new Error('The fake Incus ended')));
      const onMessage = (message: unknown) =>
        done(() => (message === expected ? resolve() : reject(new Error(String(message)))));
      child?.on('message', onMessage);
      child?.on('exit', onExit);
    });
  }
}

function faultsOf(fake: FakeProcess, socketPath: string): Fault[] {
  const fault = (
    name: string,
    codes: readonly ErrorCode[],
    longestMs: number,
    draw: (random: Random) => FakeFaults,
  ): Fault => ({
    name,
    codes,
    longestMs,
    begin: async (random) => {
      const faults = draw(random);
      await fake.tell({ order: 'faults', faults, cut: false });
      // A file of which the first writes were lost and later ones were not has its full size and a hole in it: no
      // sender can see that, and no disk that is full does it to a file that is written from its start to its end.
      return () => fake.tell({ order: 'faults', faults: {}, cut: faults.loseWrites === true });
    },
  });
  const anyOp = (random: Random) =>
    random.pick([
      'init',
      'lstat',
      'open',
      'fsetstat',
      'write',
      'fstat',
      'close',
      'rename',
      'remove',
      'mkdir',
    ]);
  const broken: readonly ErrorCode[] = ['connection_lost', 'timed_out', 'instance_unavailable'];
  return [
    fault('refuses', ['instance_unavailable'], 2000, () => ({
      httpError: { status: 500, message: 'Failed to connect: boom' },
    })),
    fault('shuts down (503)', ['target_unreachable', 'connection_lost'], 3000, () => ({
      apiError: { status: 503, message: 'Shutting down' },
    })),
    fault('hangs before the upgrade', broken, 4000, () => ({ hangBeforeUpgrade: true })),
    fault('hangs altogether', broken, 4000, () => ({ hangApi: true })),
    fault('gives no VERSION', broken, 3000, () => ({ noVersion: true })),
    fault('ends before VERSION', broken, 2000, () => ({ eofBeforeVersion: true })),
    fault('cuts', broken, 2000, (random) => ({ cutAfterBytes: random.logInt(20, 2_000_000) })),
    fault('cuts after a request', broken, 2000, (random) => ({ cutAt: anyOp(random) })),
    fault('hangs at a request', broken, 4000, (random) => ({
      hangAt: anyOp(random),
      hangAfterWrites: random.int(0, 20),
    })),
    fault('does and says nothing', broken, 4000, (random) => ({ muteAt: anyOp(random) })),
    fault('is slow', broken, 4000, (random) => ({ delayMs: random.int(50, 800) })),
    fault('answers last first', [], 3000, () => ({ reverseAnswers: true })),
    fault('is full', ['instance_disk_full'], 4000, (random) => ({ diskBytes: random.logInt(1, 2_000_000) })),
    fault('is full and loses writes', ['instance_disk_full', ...broken], 4000, (random) => ({
      diskBytes: random.logInt(1, 2_000_000),
      loseWrites: true,
    })),
    fault('refuses to rename', ['instance_unavailable'], 2000, () => ({
      statusFor: { rename: { status: 4, text: 'input/output error' } },
    })),
    {
      name: 'cuts every session',
      codes: broken,
      longestMs: 500,
      begin: async () => {
        await fake.tell({ order: 'cut sessions' });
        return async () => {};
      },
    },
    {
      name: 'goes away',
      codes: [...broken, 'target_unreachable'],
      longestMs: 4000,
      begin: async (random) => {
        await fake.tell({ order: 'go away', socketFile: random.pick(['stays', 'goes']) });
        return () => fake.tell({ order: 'come back' });
      },
    },
    {
      name: 'is killed and restarted',
      codes: [...broken, 'target_unreachable'],
      longestMs: 3000,
      begin: async (random) => {
        await fake.kill();
        if (random.chance(0.5)) rmSync(socketPath, { force: true });
        return () => fake.start();
      },
    },
  ];
}
