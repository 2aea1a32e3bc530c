/** Rules that join several values. Each gives what is wrong, after the name of the option it is about. */
import type { Access } from '../http/authenticate.ts';
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
  if (config.tlsClientCa !== null && config.tlsCert === null) {
    report('tls-client-ca', 'only https:// listeners ask for certificates: they need tls-cert and tls-key');
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
 * Why nobody may listen on an address, or undefined when it may be: neither files nor tokens go over a network in the
 * clear.
 */
export function accessProblem(address: ListenAddress, noAuth: boolean): string | undefined {
  if (address.kind !== 'http' || isLoopback(address)) return undefined;
  const written = formatListenAddress(address);
  return noAuth
    ? `${written}: no-auth is refused unless the address is a loopback address such as 127.0.0.1`
    : `${written}: tokens and files would cross the network in the clear; use https:// with tls-cert and tls-key, or a loopback address`;
}

/**
 * Whoever can open a unix socket may use it. Over TCP a token or a client certificate is needed, unless no-auth says
 * otherwise for a plain listener that only this machine reaches.
 */
export function accessOf(address: ListenAddress, noAuth: boolean): Access {
  if (address.kind === 'unix') return 'open';
  return noAuth && address.kind === 'http' && isLoopback(address) ? 'open' : 'closed';
}
