/**
 * A real Incus: the sandbox that INCUS_UPLOAD_TEST_INCUS_DIR names or one of the run's own, with two containers and, in
 * the first of them, a small disk. Its daemon is killed, its containers are stopped and frozen, its disk is filled.
 */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ErrorCode } from '../../src/errors.ts';
import type { Arena } from './arena.ts';
import { type Disk, mountDisk } from './disk.ts';
import type { Fault } from './fault.ts';
import type { Place } from './place.ts';

const SANDBOX = fileURLToPath(new URL('../../.ci/incus-sandbox', import.meta.url));
const INCUSD = ['/usr/libexec/incus/incusd', '/usr/lib/incus/incusd', '/opt/incus/bin/incusd'];
const INSTANCES = ['t1', 't2'] as const;
const SMALL_DISK_BYTES = 24 << 20;
const SMALL_FILE_BYTES = 256 << 10;
const COMMAND_TIMEOUT_MS = 120_000;

const run = promisify(execFile);

/** Why there can be no Incus here, or undefined. */
export function incusProblem(): string | undefined {
  if (process.geteuid?.() !== 0) return 'a private Incus needs root';
  if (INCUSD.some((path) => existsSync(path))) return undefined;
  return 'incusd is not installed (.ci/install-incus)';
}

class Sandbox {
  readonly directory: string;
  readonly #given: boolean;
  readonly #env: NodeJS.ProcessEnv;

  constructor(parent: string) {
    const given = process.env.INCUS_UPLOAD_TEST_INCUS_DIR;
    this.#given = Boolean(given);
    this.directory = given || join(parent, 'i');
    const { INCUS_SOCKET: _s, INCUS_PROJECT: _p, INCUS_REMOTE: _r, ...inherited } = process.env;
    this.#env = {
      ...inherited,
      INCUS_DIR: this.directory,
      INCUS_CONF: join(this.directory, 'sandbox-client'),
    };
  }

  async start(): Promise<void> {
    await this.#run(SANDBOX, ['start', this.directory, ...INSTANCES]);
  }

  incus(...args: string[]): Promise<string> {
    return this.#run('incus', args);
  }

  kill(): void {
    process.kill(Number(readFileSync(join(this.directory, 'incusd.pid'), 'utf8')), 'SIGKILL');
  }

  async restart(): Promise<void> {
    await this.#run(SANDBOX, ['restart', this.directory]);
  }

  /** The SFTP helpers of this sandbox's containers. */
  helpers(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => this.#isHelper(pid));
  }

  async stop(): Promise<void> {
    if (!this.#given) await this.#run(SANDBOX, ['stop', this.directory]);
    else for (const name of INSTANCES) await this.incus('delete', '-f', name);
  }

  #isHelper(pid: number): boolean {
    try {
      if (!readlinkSync(`/proc/${pid}/exe`).includes('incusd')) return false;
      const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0');
      return read('cmdline').includes('forkfile') && read('environ').includes(`INCUS_DIR=${this.directory}`);
    } catch {
      return false;
    }
  }

  async #run(program: string, args: readonly string[]): Promise<string> {
    const running = run(program, args, { env: this.#env, timeout: COMMAND_TIMEOUT_MS });
    // Some commands read their configuration from standard input to the end.
    running.child.stdin?.end();
    return (await running).stdout;
  }
}

export async function openIncusArena(directory: string): Promise<Arena> {
  const sandbox = new Sandbox(directory);
  let disk: Disk | undefined;
  const close = async (): Promise<void> => {
    try {
      await sandbox.stop();
    } finally {
      disk?.unmount();
    }
  };
  try {
    await sandbox.start();
    const firstId = Number(
      /^\s*0\s+(\d+)/.exec(await sandbox.incus('exec', 't1', '--', 'cat', '/proc/self/uid_map'))?.[1],
    );
    disk = mountDisk(join(directory, 'small'), SMALL_DISK_BYTES, firstId);
    await sandbox.incus(
      'config',
      'device',
      'add',
      't1',
      'small',
      'disk',
      `source=${disk.path}`,
      'path=/small',
    );
    const places: Place[] = INSTANCES.map((instance) => {
      const rootfs = join(sandbox.directory, 'storage-pools/default/containers', instance, 'rootfs');
      return placeOf(instance, '/opt/data', join(rootfs, 'opt/data'), statSync(rootfs).gid, true);
    });
    places.push(placeOf('t1', '/small', disk.path, firstId, false));
    for (const { instance, directory: inside } of places) {
      await sandbox.incus('exec', instance, '--', 'mkdir', '-p', `${inside}/in`);
    }
    return {
      kind: 'incus',
      targetUrl: `unix:${join(sandbox.directory, 'unix.socket')}`,
      places,
      faults: faultsOf(sandbox, disk),
      roots: places.map(({ hostDirectory }) => hostDirectory),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function placeOf(
  instance: string,
  directory: string,
  hostDirectory: string,
  idOffset: number,
  manyFiles: boolean,
): Place {
  const maxFileBytes = manyFiles ? Number.POSITIVE_INFINITY : SMALL_FILE_BYTES;
  const place = { project: 'default', instance, directory, hostDirectory, idOffset, keepsOwner: true };
  return { ...place, maxFileBytes, manyFiles };
}

function faultsOf(sandbox: Sandbox, disk: Disk): Fault[] {
  const lost: readonly ErrorCode[] = ['connection_lost', 'timed_out', 'instance_unavailable'];
  return [
    {
      name: 'incusd killed',
      codes: [...lost, 'target_unreachable'],
      longestMs: 4000,
      begin: async () => {
        sandbox.kill();
        return () => sandbox.restart();
      },
    },
    {
      name: 'container stopped',
      codes: lost,
      longestMs: 4000,
      begin: async () => {
        await sandbox.incus('stop', '-f', 't2');
        return async () => void (await sandbox.incus('start', 't2'));
      },
    },
    {
      name: 'container frozen',
      codes: lost,
      longestMs: 4000,
      begin: async () => {
        await sandbox.incus('pause', 't1');
        return async () => void (await sandbox.incus('start', 't1'));
      },
    },
    {
      name: 'SFTP helpers killed',
      codes: lost,
      longestMs: 300,
      begin: async (random) => {
        for (let i = random.int(1, 4); i > 0; i -= 1) {
          for (const pid of sandbox.helpers()) process.kill(pid, 'SIGKILL');
          await delay(random.int(20, 300));
        }
        return async () => {};
      },
    },
    {
      name: 'SFTP helpers frozen',
      codes: lost,
      longestMs: 4000,
      begin: async () => {
        const pids = sandbox.helpers();
        for (const pid of pids) process.kill(pid, 'SIGSTOP');
        return async () => {
          const left = new Set(sandbox.helpers());
          for (const pid of pids) if (left.has(pid)) process.kill(pid, 'SIGCONT');
        };
      },
    },
    {
      name: 'instance disk full',
      codes: ['instance_disk_full'],
      longestMs: 4000,
      begin: async (random) => {
        disk.fill(random.pick([0, 0, 4096, 100_000]));
        return async () => disk.empty();
      },
    },
  ];
}
