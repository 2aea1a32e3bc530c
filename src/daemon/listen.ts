/**
 * Listening sockets. A unix socket is bound under a temporary name with no permissions, given group and mode, and
 * only then renamed to its own name: whoever can see it finds the right permissions, and a stale socket of a daemon
 * that was killed is replaced in one step.
 */
import { once } from 'node:events';
import { chmod, chown, lstat, mkdir, readFile, readlink, rename, unlink } from 'node:fs/promises';
import { connect, Server as NetServer, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { CodedError, messageOf, systemCode } from '../errors.ts';
import { formatListenAddress, type ListenAddress } from './listen-address.ts';
import type { PassedSocket } from './systemd.ts';

/** Makes temporary names unique within this process. */
let serial = 0;

/** Connections that may wait to be taken; the kernel cuts it to net.core.somaxconn, 4096 by default. */
const BACKLOG = 4096;

export type Listener = {
  /** Where it really listens: with the port that was chosen for port 0. */
  readonly address: ListenAddress;
  /** Stops accepting and removes a unix socket if it is still ours; resolves when the last connection has ended. */
  close(): Promise<void>;
};

export type UnixSocketOptions = {
  /** Permission bits. */
  readonly mode: number;
  /** Null leaves the group of the process. */
  readonly groupId: number | null;
};

/** Lets a server that was made but does not listen yet listen on an address. Failures are `config_invalid`. */
export async function openListener(
  server: Server,
  address: ListenAddress,
  unix: UnixSocketOptions,
): Promise<Listener> {
  try {
    if (address.kind === 'unix') return await openUnixListener(server, address, unix);
    server.listen({ host: address.host, port: address.port, backlog: BACKLOG });
    await once(server, 'listening');
    return { address: boundAddress(server, address.kind), close: () => closeServer(server) };
  } catch (error) {
    if (server.listening) server.close();
    const reason =
      systemCode(error) === 'EADDRINUSE' ? 'already in use by another program' : messageOf(error);
    throw new CodedError('config_invalid', `listen: ${formatListenAddress(address)}: ${reason}`, {
      cause: error,
    });
  }
}

/**
 * Lets a server listen on a socket of systemd's, which stays when the daemon goes. `check` is told the address before
 * the first connection is taken, and refuses it by throwing.
 */
export async function openPassedListener(
  server: Server,
  passed: PassedSocket,
  kind: 'http' | 'https',
  check: (address: ListenAddress) => void,
): Promise<Listener> {
  try {
    const unixAddress = await passedUnixAddress(passed);
    server.listen({ fd: passed.fd }, BACKLOG);
    // In the same turn of the event loop: the first connection may be waiting.
    const address = server.address() === null ? unixAddress : boundAddress(server, kind);
    check(address);
    await once(server, 'listening');
    return { address, close: () => closeServer(server) };
  } catch (error) {
    if (server.listening) server.close();
    if (error instanceof CodedError) throw error;
    throw new CodedError('config_invalid', `listen: socket ${passed.name} of systemd: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

async function openUnixListener(
  server: Server,
  address: ListenAddress & { kind: 'unix' },
  unix: UnixSocketOptions,
): Promise<Listener> {
  const { path } = address;
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  await refuseUsedSocket(path);

  // libuv unlinks the name it was bound under when it closes, whoever's socket is there by then; a name of our own
  // that is gone after the rename keeps it from removing the socket of a successor.
  serial += 1;
  const temporary = join(dirname(path), `.${process.pid.toString(36)}-${serial.toString(36)}~`);
  await unlink(temporary).catch(ignoreMissing);
  const umask = process.umask(0o777);
  try {
    server.listen({ path: temporary, backlog: BACKLOG });
  } finally {
    process.umask(umask);
  }
  await once(server, 'listening');
  try {
    if (unix.groupId !== null) await chown(temporary, -1, unix.groupId).catch(groupProblem(unix.groupId));
    await chmod(temporary, unix.mode);
    const own = await lstat(temporary);
    await rename(temporary, path);
    return {
      address,
      close: async () => {
        const there = await lstat(path).catch(ignoreMissing);
        if (there?.ino === own.ino && there.dev === own.dev) await unlink(path).catch(ignoreMissing);
        await closeServer(server);
      },
    };
  } catch (error) {
    server.close();
    throw error;
  }
}

/** Throws when somebody accepts connections there, or when what is there is no socket. */
async function refuseUsedSocket(path: string): Promise<void> {
  const there = await lstat(path).catch(ignoreMissing);
  if (there === undefined) return;
  if (!there.isSocket()) throw new Error('the path exists and is no socket; remove it or choose another');
  const socket = connect(path);
  try {
    await once(socket, 'connect');
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ECONNREFUSED' || code === 'ENOENT') return;
    throw error;
  } finally {
    socket.destroy();
  }
  throw new Error('already in use by another program');
}

function boundAddress(server: Server, kind: 'http' | 'https'): ListenAddress {
  const bound = server.address();
  if (typeof bound === 'string') return { kind: 'unix', path: bound };
  if (bound === null) throw new Error('the socket has no address');
  return { kind, host: bound.address, port: bound.port };
}

/** Node does not tell the path of a unix socket that it was handed; the kernel's table does. For others it is no answer. */
async function passedUnixAddress({ fd, name }: PassedSocket): Promise<ListenAddress> {
  const link = await readlink(`/proc/self/fd/${fd}`);
  const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1];
  const table = await readFile('/proc/net/unix', 'utf8');
  for (const line of table.split('\n')) {
    const [, , , , , , lineInode, ...path] = line.trim().split(/\s+/);
    if (lineInode === inode && path.length > 0) return { kind: 'unix', path: path.join(' ') };
  }
  return { kind: 'unix', path: name };
}

/** Not by http's own `close`, which also ends the connections that have no request now: they are still to be told. */
function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    NetServer.prototype.close.call(server, () => resolve());
  });
}

function groupProblem(groupId: number): (error: unknown) => never {
  return (error) => {
    throw new Error(`cannot give the socket to group ${groupId} (socket_group): ${messageOf(error)}`);
  };
}

function ignoreMissing(error: unknown): undefined {
  if (systemCode(error) === 'ENOENT') return undefined;
  throw error;
}
