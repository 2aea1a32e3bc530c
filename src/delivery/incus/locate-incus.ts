/** Finds the Incus of this machine, and what its client knows of remote ones, where `incus` itself looks. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { CodedError, messageOf } from '../../errors.ts';
import type { HttpsEndpoint } from './endpoint.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export type LocalIncus = {
  readonly socketPath: string;
  /** What a user should know about the choice; undefined when there is nothing. */
  readonly note: string | undefined;
};

/**
 * The socket that `incus` would use: `$INCUS_SOCKET`, `$INCUS_DIR/unix.socket`, `/run/incus/unix.socket` if it exists,
 * `/var/lib/incus/unix.socket`. Where that is closed to this user, `unix.socket.user` beside it if that is open; the
 * instances there are in the project `user-UID`, which the note says.
 */
export function findLocalIncus(env: Environment): LocalIncus {
  const socketPath = preferredSocket(env);
  const userSocket = join(dirname(socketPath), 'unix.socket.user');
  if (existsSync(socketPath) && !isWritable(socketPath) && isWritable(userSocket)) {
    const project = `user-${process.geteuid?.() ?? 0}`;
    return {
      socketPath: userSocket,
      note: `${socketPath} is closed to this user; ${userSocket} is used, whose instances are in the project ${project}`,
    };
  }
  return { socketPath, note: undefined };
}

function preferredSocket(env: Environment): string {
  if (env.INCUS_SOCKET) return env.INCUS_SOCKET;
  if (env.INCUS_DIR) return join(env.INCUS_DIR, 'unix.socket');
  const runtime = '/run/incus/unix.socket';
  return existsSync(runtime) ? runtime : '/var/lib/incus/unix.socket';
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

export type CertificatePaths = {
  readonly clientCert?: string | undefined;
  readonly clientKey?: string | undefined;
  readonly serverCert?: string | undefined;
};

/**
 * Certificates for a remote Incus: the files named, else those of the `incus` client's own configuration
 * (`$INCUS_CONF`, else `~/.config/incus`), where the server's is that of the remote with this address. A file that
 * should be there and is not is `config_invalid`.
 */
export function readRemoteIncus(
  host: string,
  port: number,
  paths: CertificatePaths,
  env: Environment,
): HttpsEndpoint {
  const directory = env.INCUS_CONF || join(env.HOME || homedir(), '.config', 'incus');
  const serverCert = paths.serverCert ?? knownServerCert(directory, host, port);
  return {
    kind: 'https',
    host,
    port,
    clientCert: readText(paths.clientCert ?? join(directory, 'client.crt'), 'client certificate'),
    clientKey: readText(paths.clientKey ?? join(directory, 'client.key'), 'client key'),
    serverCert: serverCert === undefined ? undefined : readText(serverCert, 'server certificate'),
  };
}

function knownServerCert(directory: string, host: string, port: number): string | undefined {
  const config = join(directory, 'config.yml');
  if (!existsSync(config)) return undefined;
  const remotes: unknown = parse(readText(config, 'Incus client configuration'))?.remotes;
  if (typeof remotes !== 'object' || remotes === null) return undefined;
  for (const [name, remote] of Object.entries(remotes)) {
    const address: unknown = remote?.addr;
    if (typeof address !== 'string' || !isAddress(address, host, port)) continue;
    const path = join(directory, 'servercerts', `${name}.crt`);
    if (existsSync(path)) return path;
  }
  return undefined;
}

function isAddress(address: string, host: string, port: number): boolean {
  if (!URL.canParse(address)) return false;
  const url = new URL(address);
  // A remote without a port is on 8443 in `incus`, where a URL would say 443.
  const urlPort = url.port === '' ? (/:443\/?$/.test(address) ? 443 : 8443) : Number(url.port);
  return url.protocol === 'https:' && url.hostname.replace(/^\[|\]$/g, '') === host && urlPort === port;
}

function readText(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new CodedError('config_invalid', `Cannot read the ${what} ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
