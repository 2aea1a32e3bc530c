/** Rules that join several values. Each gives what is wrong, after the name of the option it is about. */
import type { Config } from './config.ts';
import { findGroupId } from './group.ts';
import { formatListenAddress, isLoopback, type ListenAddress } from './listen-address.ts';

export type ConfigProblem = { readonly name: string; readonly message: string };

export function configProblems(config: Config, groupFile: string): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const report = (name: string, message: string): void => {
    problems.push({ name, message });
  };

  for (const address of config.listen) {
    const problem = accessProblem(address, config.noAuth);
    if (problem !== undefined) report('listen', problem);
    if (address.kind === 'https' && (config.tlsCert === null || config.tlsKey === null)) {
      report('listen', `${formatListenAddress(address)}: an https:// listener needs tls-cert and tls-key`);
    }
  }
  if ((config.tlsCert === null) !== (config.tlsKey === null)) {
    const missing = config.tlsCert === null ? 'tls-cert' : 'tls-key';
    report(missing, 'expected a file: tls-cert and tls-key belong together');
  }
  if ((config.targetCert === null) !== (config.targetKey === null)) {
    const missing = config.targetCert === null ? 'target-cert' : 'target-key';
    report(missing, 'expected a file: target-cert and target-key belong together');
  }
  if (config.retryMaxDelayMs < config.retryMinDelayMs) {
    report('retry-max-delay', 'expected a duration not shorter than retry-min-delay');
  }
  if (config.socketGroup !== null && findGroupId(config.socketGroup, groupFile) === undefined) {
    report(
      'socket-group',
      `there is no group ${JSON.stringify(config.socketGroup)}; expected one of /etc/group`,
    );
  }
  return problems;
}

/**
 * Why nobody may listen on an address, or undefined when it may be. Whoever can open a unix socket may use it; over
 * TCP there is nothing yet to tell one sender from another, so it has to stay on this machine and be asked for.
 */
export function accessProblem(address: ListenAddress, noAuth: boolean): string | undefined {
  if (address.kind === 'unix') return undefined;
  const written = formatListenAddress(address);
  if (!isLoopback(address)) {
    return noAuth
      ? `${written}: no-auth is refused unless the address is a loopback address such as 127.0.0.1`
      : `${written}: only loopback addresses, with no-auth, can be listened on: tokens come with a later version`;
  }
  return noAuth
    ? undefined
    : `${written}: listening over TCP needs no-auth: tokens come with a later version; or use unix:PATH`;
}
