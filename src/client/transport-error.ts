import { CodedError, messageOf, systemCode } from '../errors.ts';
import { type Address, formatAddress } from './address.ts';
import { adviseAccess, adviseStart } from './socket-advice.ts';

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
  const socketPath = address.kind === 'unix' ? address.socketPath : undefined;
  if ((code === 'EACCES' || code === 'EPERM') && socketPath !== undefined) {
    const message = `The daemon's socket ${socketPath} is closed to you; ${adviseAccess(socketPath)}`;
    return new CodedError('socket_denied', message, { cause: error });
  }
  const why =
    code === 'ENOENT' && socketPath !== undefined
      ? 'there is no such socket'
      : code === 'ECONNREFUSED'
        ? 'nothing listens there'
        : code === 'ENOTFOUND' || code === 'EAI_AGAIN'
          ? 'its name is not known here'
          : messageOf(error);
  const advice =
    socketPath === undefined
      ? 'see whether it runs and listens there, or name another with --url or --remote'
      : adviseStart(socketPath);
  return new CodedError('daemon_unreachable', `Cannot reach the daemon at ${where}: ${why}; ${advice}`, {
    cause: error,
  });
}
