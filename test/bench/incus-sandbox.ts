/** A real Incus with the instances c1 and c2: the sandbox that `INCUS_UPLOAD_TEST_INCUS_DIR` names, or one of our own. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { checkout, type Environment, firstLineOf, runCommand } from './command.ts';

const SANDBOX = join(checkout, '.ci/incus-sandbox');
const INCUSD = ['/usr/libexec/incus/incusd', '/usr/lib/incus/incusd', '/opt/incus/bin/incusd'];

export type IncusSandbox = {
  /** Environment for the `incus` client. */
  readonly env: Environment;
  readonly socketPath: string;
  /** Runs a shell line in an instance; resolves to its standard output. */
  sh(instance: string, line: string): Promise<string>;
  stop(): Promise<void>;
};

/** Why there is no Incus here, or undefined. */
export function incusProblem(): string | undefined {
  if (firstLineOf('incus', ['--version']) === undefined) return 'incus is not installed (.ci/install-incus)';
  if (process.env.INCUS_UPLOAD_TEST_INCUS_DIR) return undefined;
  if (firstLineOf('incusd', ['--version']) === undefined && !INCUSD.some(existsSync)) {
    return 'incusd is not installed (.ci/install-incus)';
  }
  return process.geteuid?.() === 0 ? undefined : 'a private Incus needs root';
}

/** Starts it in `dir`, whose parent directories everybody may pass: a container's root is nobody special here. */
export async function openIncusSandbox(dir: string): Promise<IncusSandbox> {
  const given = process.env.INCUS_UPLOAD_TEST_INCUS_DIR;
  const place = given || dir;
  const stop = async (): Promise<void> => {
    if (!given) await runCommand(SANDBOX, ['stop', place], { cleansUp: true });
  };
  if (!given) {
    try {
      await runCommand(SANDBOX, ['start', place, 'c1', 'c2']);
    } catch (error) {
      await stop();
      throw error;
    }
  }
  const env = {
    INCUS_DIR: place,
    INCUS_CONF: join(place, 'sandbox-client'),
    INCUS_SOCKET: undefined,
    INCUS_PROJECT: undefined,
    INCUS_REMOTE: undefined,
  };
  return {
    env,
    socketPath: join(place, 'unix.socket'),
    sh: (instance, line) => runCommand('incus', ['exec', instance, '--', 'sh', '-c', line], { env }),
    stop,
  };
}
