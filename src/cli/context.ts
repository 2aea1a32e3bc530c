import { defaultAddress, parseAddress } from '../client/address.ts';
import { type Connection, openConnection } from '../client/connection.ts';
import { readToken } from '../client/token.ts';
import { CodedError } from '../errors.ts';
import { projectNameProblem } from '../protocol/names.ts';

/** The global options as given on the command line. */
export type GlobalFlags = {
  readonly url: string | undefined;
  readonly tokenFile: string | undefined;
  readonly project: string | undefined;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly progress: boolean;
  readonly color: boolean | undefined;
  readonly debug: boolean;
};

/** The connection that flags and environment ask for. Nothing is sent yet. */
export function connect(flags: GlobalFlags, env: NodeJS.ProcessEnv = process.env): Connection {
  const url = flags.url ?? (env.INCUS_UPLOAD_URL || undefined);
  const address = url === undefined ? defaultAddress(env, process.getuid?.() ?? 0) : parseAddress(url);
  return openConnection({ address, token: readToken(flags.tokenFile, env) });
}

/** The project of `--project` or INCUS_PROJECT, or undefined when neither names one. */
export function projectOf(flags: GlobalFlags, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const project = flags.project ?? (env.INCUS_PROJECT || undefined);
  const problem = project === undefined ? undefined : projectNameProblem(project);
  if (problem !== undefined) throw new CodedError('usage', problem);
  return project;
}
