import { readFileSync, statSync } from 'node:fs';
import { CodedError, messageOf, systemCode } from '../errors.ts';
import { type Address, formatAddress } from './address.ts';

/** What a request that got no answer means. Errors that already carry a code pass unchanged. */
export function transportError(
  error: unknown,
  address: Address,
  request: { readonly body?: unknown; readonly signal?: AbortSignal | undefined },
): CodedError {
  if (error instanceof CodedError) return error;
  if (request.signal?.aborted === true) {
    const { reason } = request.signal;
    return reason instanceof CodedError ? reason : new CodedError('interrupted', undefined, { cause: error });
  }
  const where = formatAddress(address);
  const code = systemCode(error);
  if (isConnecting(error) || code === 'UND_ERR_CONNECT_TIMEOUT') {
    return connectError(error, code, address, where);
  }
  if (code?.startsWith('ERR_SSL') || code?.startsWith('ERR_TLS')) {
    return new CodedError(
      'daemon_unreachable',
      `${where} does not speak TLS as it should (${messageOf(error)}); check the address: perhaps it is http://`,
      { cause: error },
    );
  }
  if (request.body === undefined) {
    return new CodedError(
      'daemon_unreachable',
      `The daemon at ${where} closed the connection without an answer (${messageOf(error)}); see whether it is running`,
      { cause: error },
    );
  }
  return new CodedError(
    'send_failed',
    `The connection to the daemon at ${where} broke while sending (${messageOf(error)}); try again`,
    { cause: error },
  );
}

function isConnecting(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  if ('syscall' in error && (error.syscall === 'connect' || error.syscall === 'getaddrinfo')) return true;
  // One failure for each address of a name.
  return error instanceof AggregateError && error.errors.some(isConnecting);
}

function connectError(error: unknown, code: string | undefined, address: Address, where: string): CodedError {
  if ((code === 'EACCES' || code === 'EPERM') && address.kind === 'unix') {
    return new CodedError('socket_denied', deniedMessage(address.socketPath), { cause: error });
  }
  const why =
    code === 'ENOENT'
      ? 'there is no such socket'
      : code === 'ECONNREFUSED'
        ? 'nothing listens there'
        : messageOf(error);
  return new CodedError(
    'daemon_unreachable',
    `Cannot reach the daemon at ${where}: ${why}; start it (systemctl start incus-uploadd), or name another with --url`,
    { cause: error },
  );
}

function deniedMessage(socketPath: string): string {
  let group: string | undefined;
  try {
    const { gid, mode } = statSync(socketPath);
    if ((mode & 0o020) !== 0) group = groupName(gid);
  } catch {
    // A directory above it is closed, so not even its group can be seen.
  }
  const advice =
    group === undefined
      ? 'ask for access to it, or name another daemon with --url'
      : `join the group ${group} (usermod -aG ${group} USER, then log in again)`;
  return `The daemon's socket ${socketPath} is closed to you; ${advice}`;
}

function groupName(gid: number): string {
  try {
    for (const line of readFileSync('/etc/group', 'utf8').split('\n')) {
      const [name, , id] = line.split(':');
      if (name !== undefined && name !== '' && id === String(gid)) return name;
    }
  } catch {
    // No group file: the number has to do.
  }
  return String(gid);
}
