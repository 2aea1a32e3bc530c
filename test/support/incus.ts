/**
 * A real Incus for tests: the sandbox named by `INCUS_UPLOAD_TEST_INCUS_DIR`, or one of the test's own, started by
 * `.ci/incus-sandbox`. It has the running instances c1 and c2 and the image `bb`.
 */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SANDBOX = fileURLToPath(new URL('../../.ci/incus-sandbox', import.meta.url));
const INCUSD_PLACES = ['/usr/libexec/incus/incusd', '/usr/lib/incus/incusd', '/opt/incus/bin/incusd'];

export type RealIncus = {
  readonly directory: string;
  readonly socketPath: string;
  /** Runs `incus ARGS…` against it and resolves to its standard output. */
  incus(...args: string[]): Promise<string>;
  /**
   * What a command in an instance prints, which has to be something: on a busy machine Incus 6.0 now and then loses the
   * output of a short command, so that nothing is asked for again.
   */
  ask(instance: string, ...command: string[]): Promise<string>;
  /** This machine's path of a path in an instance of the project `default`. */
  hostPath(instance: string, path: string): string;
  /** Starts the daemon again, without the instances. */
  restart(): Promise<void>;
  /** Ends it, if this test started it. */
  close(): Promise<void>;
};

/** Why there can be no Incus here, for the `skip` of a test; undefined when there can. With `CI=true` it throws instead. */
export function incusSkipReason(): string | undefined {
  const reason = findSkipReason();
  if (reason !== undefined && process.env.CI === 'true') {
    throw new Error(`Tests against a real Incus must run here, but: ${reason}`);
  }
  return reason;
}

function findSkipReason(): string | undefined {
  if (process.geteuid?.() !== 0) return 'a private Incus needs root';
  if (process.env.INCUS_UPLOAD_TEST_INCUS_DIR) return undefined;
  const hasClient = spawnSync('incus', ['--version']).error === undefined;
  if (hasClient && INCUSD_PLACES.some((path) => existsSync(path))) return undefined;
  return 'Incus is not installed; run .ci/install-incus';
}

/** With `own` it is shared with no other test: for those that restart it. */
export async function openRealIncus({ own = false } = {}): Promise<RealIncus> {
  const given = own ? undefined : process.env.INCUS_UPLOAD_TEST_INCUS_DIR;
  const directory = given || mkdtempSync(join(tmpdir(), 'iu-incus-'));
  if (!given)
    execFileSync(SANDBOX, ['start', directory, 'c1', 'c2'], { stdio: ['ignore', 'ignore', 'inherit'] });
  const { INCUS_SOCKET: _socket, INCUS_PROJECT: _project, INCUS_REMOTE: _remote, ...inherited } = process.env;
  const env = { ...inherited, INCUS_DIR: directory, INCUS_CONF: join(directory, 'sandbox-client') };
  const incus = async (...args: string[]): Promise<string> => {
    const running = run('incus', args, { env, timeout: 60_000 });
    // `incus launch` reads its configuration from standard input to the end.
    running.child.stdin?.end();
    return (await running).stdout;
  };
  return {
    directory,
    socketPath: join(directory, 'unix.socket'),
    incus,
    ask: async (instance, ...command) => {
      for (let tries = 0; tries < 10; tries += 1) {
        const printed = await incus('exec', instance, '--', ...command);
        if (printed !== '') return printed;
      }
      throw new Error(`${command.join(' ')} printed nothing in ${instance}`);
    },
    hostPath: (instance, path) =>
      join(directory, 'storage-pools/default/containers', instance, 'rootfs', path),
    restart: async () => {
      await run(SANDBOX, ['restart', directory]);
    },
    close: async () => {
      if (!given) await run(SANDBOX, ['stop', directory]);
    },
  };
}
