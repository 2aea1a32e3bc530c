import { defaultAddress, parseAddress } from '../client/address.ts';
import type { ChosenDaemon } from '../client/chosen-daemon.ts';
import { hasClientConfig } from '../client/config-path.ts';
import { type Connection, openConnection } from '../client/connection.ts';
import { readToken } from '../client/token.ts';
import { CodedError } from '../errors.ts';
import { projectNameProblem } from '../protocol/names.ts';

/** The global options as given on the command line. */
export type GlobalFlags = {
  readonly url: string | undefined;
  readonly remote: string | undefined;
  readonly tokenFile: string | undefined;
  readonly project: string | undefined;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly progress: boolean;
  readonly color: boolean | undefined;
  readonly debug: boolean;
};

/** The connection that flags, environment and configuration ask for. Nothing is sent yet. */
export async function connect(flags: GlobalFlags, env: NodeJS.ProcessEnv = process.env): Promise<Connection> {
  return openConnection(await chooseDaemon(flags, env));
}

/** `--url`, else `--remote`, else INCUS_UPLOAD_URL, else INCUS_UPLOAD_REMOTE, else the default remote, else the socket. */
export async function chooseDaemon(flags: GlobalFlags, env: NodeJS.ProcessEnv): Promise<ChosenDaemon> {
  const url = flags.url ?? (flags.remote === undefined ? env.INCUS_UPLOAD_URL || undefined : undefined);
  if (url !== undefined) {
    const origin = flags.url === undefined ? 'INCUS_UPLOAD_URL' : '--url';
    return { origin, address: parseAddress(url), token: readToken({ file: flags.tokenFile }, env) };
  }
  const name = flags.remote ?? (env.INCUS_UPLOAD_REMOTE || undefined);
  if (name !== undefined || hasClientConfig(env)) {
    const { chooseRemote } = await import('../client/choose-remote.ts');
    const chosen = chooseRemote(name, flags.tokenFile, env);
    if (chosen !== undefined) return chosen;
  }
  const address = defaultAddress(env, process.getuid?.() ?? 0);
  return { origin: 'the default socket', address, token: readToken({ file: flags.tokenFile }, env) };
}

/** The project of `--project` or INCUS_PROJECT, or undefined when neither names one. */
export function projectOf(flags: GlobalFlags, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const project = flags.project ?? (env.INCUS_PROJECT || undefined);
  const problem = project === undefined ? undefined : projectNameProblem(project);
  if (problem !== undefined) throw new CodedError('usage', problem);
  return project;
}
