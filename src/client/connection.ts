import type { Readable } from 'node:stream';
import { type Dispatcher, Pool } from 'undici';
import { type CodedError, messageOf } from '../errors.ts';
import { type Address, formatAddress } from './address.ts';
import { readProblem } from './answer.ts';
import { PatientSocket } from './patient-socket.ts';
import type { Trust } from './trust.ts';

const CONNECT_TIMEOUT_MS = 10_000;

export type ConnectionOptions = {
  readonly address: Address;
  readonly token?: string | undefined;
  /** For https addresses. */
  readonly trust?: Trust | undefined;
};

export type ApiRequest = {
  readonly method: 'GET' | 'POST';
  /** With its query, already escaped. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: Buffer | AsyncIterable<Buffer>;
  readonly signal?: AbortSignal | undefined;
  /** An answer whose body never ends, or comes late: no limit between its bytes. */
  readonly endless?: boolean;
};

export type ApiAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable & { text(): Promise<string>; json(): Promise<unknown> };
};

/** A way to one daemon: as many sockets as requests are under way, kept for the next request. */
export type Connection = {
  readonly address: Address;
  /**
   * Sends one request and resolves to an answer of status 2xx, its body unread. Everything else rejects with a
   * CodedError: a refusal with the code of its problem document, a broken transport with `daemon_unreachable`,
   * `socket_denied` or `send_failed`.
   */
  request(request: ApiRequest): Promise<ApiAnswer>;
  /** Ends all sockets at once. */
  close(): void;
};

/** Opens nothing yet: sockets are made by the first request. */
export function openConnection(options: ConnectionOptions): Connection {
  const { address, token, trust = {} } = options;
  const pool = new Pool(address.kind === 'unix' ? 'http://localhost' : address.origin, {
    pipelining: 1,
    connections: null,
    connect: connector(address, trust),
  });

  const request = async (sent: ApiRequest): Promise<ApiAnswer> => {
    let answer: Dispatcher.ResponseData;
    try {
      answer = await pool.request({
        method: sent.method,
        path: sent.path,
        headers: {
          accept: 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...sent.headers,
        },
        body: (sent.body as Buffer | Readable | undefined) ?? null,
        ...(sent.endless === true ? { headersTimeout: 0, bodyTimeout: 0 } : {}),
        ...(sent.signal === undefined ? {} : { signal: sent.signal }),
      });
    } catch (error) {
      // Loaded when there is something to explain.
      const { transportError } = await import('./transport-error.ts');
      throw transportError(error, address, sent);
    }
    const { statusCode: status, headers } = answer;
    const body = answer.body as unknown as ApiAnswer['body'];
    if (status >= 200 && status < 300) return { status, headers, body };
    throw await refusal({ status, headers, body });
  };

  return { address, request, close: () => void pool.destroy().catch(() => undefined) };
}

async function refusal(answer: ApiAnswer): Promise<CodedError> {
  let text = '';
  try {
    text = await answer.body.text();
  } catch (error) {
    text = `The answer broke off: ${messageOf(error)}`;
  }
  return readProblem(answer.status, answer.headers, text);
}

type Connector = Extract<NonNullable<Pool.Options['connect']>, (...args: never[]) => unknown>;

function connector(address: Address, trust: Trust): Connector {
  if (address.kind === 'tcp' && address.origin.startsWith('https:')) {
    const url = new URL(address.origin);
    return (_target, callback) => {
      import('./tls-connector.ts')
        .then(({ connectTls }) => connectTls(url, trust))
        .then(
          (socket) => callback(null, socket),
          (error: Error) => callback(error, null),
        );
    };
  }
  return ({ hostname, port }, callback) => {
    const socket = new PatientSocket();
    const timer = setTimeout(() => socket.destroy(connectTimeout()), CONNECT_TIMEOUT_MS);
    let settled = false;
    socket.on('error', (error) => {
      clearTimeout(timer);
      if (!settled) callback(error, null);
      settled = true;
    });
    socket.once('connect', () => {
      clearTimeout(timer);
      settled = true;
      callback(null, socket);
    });
    if (address.kind === 'unix') socket.connect({ path: address.socketPath });
    else socket.connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 80), noDelay: true });
  };
}

function connectTimeout(): Error {
  return Object.assign(new Error(`no connection within ${CONNECT_TIMEOUT_MS / 1000} s`), {
    code: 'ETIMEDOUT',
    syscall: 'connect',
  });
}

/** The address, for messages. */
export function addressOf(connection: Connection): string {
  return formatAddress(connection.address);
}
