import { parseAddress } from './address.ts';
import type { ChosenDaemon } from './chosen-daemon.ts';
import { findRemote, LOCAL, readClientConfig } from './client-config.ts';
import { readToken } from './token.ts';

/** How to reach the remote of that name, or the default remote; undefined when the default socket is meant. */
export function chooseRemote(
  name: string | undefined,
  tokenFile: string | undefined,
  env: NodeJS.ProcessEnv,
): ChosenDaemon | undefined {
  if (name === LOCAL) return undefined;
  const config = readClientConfig(env);
  const wanted = name ?? config.defaultName;
  if (wanted === undefined) return undefined;
  const remote = findRemote(config, wanted);
  return {
    origin: name === undefined ? `the default remote ${wanted}` : `the remote ${wanted}`,
    address: parseAddress(remote.url),
    token: readToken({ file: tokenFile, remote }, env),
    trust: remote,
    tokenFile: remote.tokenFile,
  };
}
