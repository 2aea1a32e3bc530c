/** The servers of the daemon on their sockets: its own, or those that systemd passed, which are used instead. */
import type { Server } from 'node:http';
import { Server as TlsServer } from 'node:https';
import { CodedError } from '../errors.ts';
import type { App } from '../http/app.ts';
import type { Access } from '../http/authenticate.ts';
import { createHttpServer } from '../http/server.ts';
import type { Config } from './config.ts';
import { accessOf, accessProblem } from './config-checks.ts';
import { readGroupId } from './group.ts';
import { type Listener, openListener, openPassedListener } from './listen.ts';
import { formatListenAddress } from './listen-address.ts';
import type { Log } from './log.ts';
import { listenFds } from './systemd.ts';
import { readTlsOptions } from './tls-options.ts';

export type Listening = {
  readonly server: Server;
  readonly listener: Listener;
  readonly access: Access;
  readonly isPassed: boolean;
};

export async function openListeners(config: Config, app: App, log: Log): Promise<Listening[]> {
  const tls = await readTlsOptions(config);
  const listening: Listening[] = [];
  const passed = listenFds(process.env, process.pid);
  for (const socket of passed) {
    const isTls = socket.name.startsWith('https');
    if (isTls && tls === null) {
      throw new CodedError('config_invalid', `listen: socket ${socket.name} needs tls-cert and tls-key`);
    }
    // Closed until its address is known, which is before the first connection is taken.
    let access: Access = 'closed';
    const server = createHttpServer(app, isTls ? tls : null, () => access);
    const listener = await openPassedListener(server, socket, isTls ? 'https' : 'http', (address) => {
      const problem = accessProblem(address, config.noAuth);
      if (problem !== undefined) throw new CodedError('config_invalid', `listen: ${problem}`);
      access = accessOf(address, config.noAuth);
    });
    listening.push({ server, listener, access, isPassed: true });
  }
  const groupId = passed.length > 0 ? null : await readGroupId(config.socketGroup);
  for (const address of passed.length > 0 ? [] : config.listen) {
    const access = accessOf(address, config.noAuth);
    const server = createHttpServer(app, address.kind === 'https' ? tls : null, () => access);
    const listener = await openListener(server, address, { mode: config.socketMode, groupId });
    listening.push({ server, listener, access, isPassed: false });
  }
  for (const { listener } of listening) {
    log.info({ address: formatListenAddress(listener.address) }, 'listening');
  }
  return listening;
}

/**
 * Takes certificate, key and client CA anew; `config_invalid`, with the old ones kept, when they cannot be used.
 * Connections that are open go on.
 */
export async function reloadTls(
  config: Config,
  previous: Config,
  listening: readonly Listening[],
): Promise<void> {
  const servers = listening.map(({ server }) => server).filter((server) => server instanceof TlsServer);
  if (servers.length === 0) return;
  // Without a client CA a server that asks for certificates would trust every authority there is.
  if ((config.tlsClientCa === null) !== (previous.tlsClientCa === null)) {
    throw new CodedError('config_invalid', 'tls-client-ca is added and taken away by a restart only');
  }
  const tls = await readTlsOptions(config);
  if (tls === null) throw new CodedError('config_invalid', 'https:// listeners need tls-cert and tls-key');
  for (const server of servers) server.setSecureContext(tls);
}
