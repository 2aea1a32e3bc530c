/**
 * Connections to Incus's API: plain requests, and the upgrade to a raw SFTP channel. Over a unix socket, or over HTTPS
 * with a client certificate and the server's certificate pinned, as `incus` does it.
 *
 * Each call opens its own connection and has a deadline for each step; nothing is kept between calls.
 */
import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { messageOf } from '../../errors.ts';
import { DeadlineError } from '../deadline.ts';
import type { IncusEndpoint } from './endpoint.ts';
import { pinnedTlsOptions } from './endpoint.ts';
import { ConnectionError, type ConnectionPhase, IncusApiError } from './seen-errors.ts';
import { SftpSession } from './sftp-session.ts';

/** An answer of the API is a few hundred bytes; a list of all instances may be some megabytes. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** Connecting, the answer 101 and the packet VERSION each take milliseconds unless something is wrong. */
const MAX_STEP_MS = 15_000;

/** The `metadata` of the answer to `GET path`. `timeoutMs` is for all of it. */
export async function getFromIncus(
  endpoint: IncusEndpoint,
  path: string,
  timeoutMs: number,
): Promise<unknown> {
  const request = startRequest(endpoint, path, {});
  const watch = watchRequest(request, timeoutMs, 'all');
  try {
    const answer = await watch.outcome;
    if ('statusCode' in answer) return decodeAnswer(answer);
    answer.socket.destroy();
    throw new IncusApiError(101, 'Incus changed the protocol unasked');
  } finally {
    watch.end();
  }
}

/** Opens an SFTP session to an instance; `timeoutMs`, at most 15 s, is for each of its three steps. */
export async function openSftpSession(
  endpoint: IncusEndpoint,
  project: string,
  instance: string,
  timeoutMs: number,
): Promise<SftpSession> {
  const stepMs = Math.min(timeoutMs, MAX_STEP_MS);
  const path = `/1.0/instances/${encodeURIComponent(instance)}/sftp?project=${encodeURIComponent(project)}`;
  const request = startRequest(endpoint, path, { Upgrade: 'sftp', Connection: 'Upgrade' });
  const watch = watchRequest(request, stepMs, 'each-step');
  const upgraded = await watch.outcome.finally(watch.end);
  if ('statusCode' in upgraded) {
    decodeAnswer(upgraded);
    throw new IncusApiError(
      upgraded.statusCode,
      `Incus answered ${upgraded.statusCode} to a request for SFTP`,
    );
  }
  const session = new SftpSession(upgraded.socket, upgraded.head);
  const timer = setTimeout(() => session.destroy(new DeadlineError('version', stepMs)), stepMs);
  try {
    await session.handshake();
    return session;
  } finally {
    clearTimeout(timer);
  }
}

function startRequest(endpoint: IncusEndpoint, path: string, headers: Record<string, string>): ClientRequest {
  const options: RequestOptions = {
    method: 'GET',
    path,
    agent: false,
    headers: { Host: 'incus', ...headers },
  };
  if (endpoint.kind === 'unix') return httpRequest({ ...options, socketPath: endpoint.socketPath }).end();
  const { host, port } = endpoint;
  return httpsRequest({
    ...options,
    host,
    port,
    headers: { ...options.headers, Host: `${host}:${port}` },
    ...pinnedTlsOptions(endpoint),
  }).end();
}

type Answer = { readonly statusCode: number; readonly body: string };
type Upgrade = { readonly socket: Duplex; readonly head: Buffer };

/** Turns the events of a request into promises, with one deadline for all or one each for connecting and the answer. */
function watchRequest(request: ClientRequest, limitMs: number, limit: 'all' | 'each-step') {
  let phase: ConnectionPhase = 'connect';
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = (error) => {
      reject(error);
      request.destroy();
    };
  });
  const late = () => fail(new DeadlineError(phase === 'connect' ? 'connect' : 'answer', limitMs));
  const timer = setTimeout(late, limitMs);
  const connected = () => {
    phase = 'upgrade';
    if (limit === 'each-step') timer.refresh();
  };
  request.on('socket', (socket) =>
    socket.once('encrypted' in socket ? 'secureConnect' : 'connect', connected),
  );
  request.on('error', (error) => fail(new ConnectionError(phase, messageOf(error), error)));
  const upgrade = new Promise<Upgrade>((resolve) => {
    request.on('upgrade', (_response, socket, head) => resolve({ socket, head }));
  });
  const answer = new Promise<Answer>((resolve) => {
    request.on('response', (response) => {
      readBody(response).then((body) => resolve({ statusCode: response.statusCode ?? 0, body }), fail);
    });
  });
  return {
    outcome: Promise.race([upgrade, answer, failed]),
    end: () => clearTimeout(timer),
  };
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response) {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) throw new Error(`An answer of more than ${MAX_ANSWER_BYTES} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw new ConnectionError('upgrade', messageOf(error), error);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Reads `{"type":"sync","metadata":…}` or throws {@link IncusApiError}. */
function decodeAnswer({ statusCode, body }: Answer): unknown {
  let answer: unknown;
  try {
    answer = JSON.parse(body);
  } catch {
    throw new IncusApiError(statusCode, `Incus answered ${statusCode} with something that is not JSON`);
  }
  const { error, error_code, metadata } = (answer ?? {}) as Record<string, unknown>;
  if (statusCode >= 400 || (typeof error === 'string' && error !== '')) {
    const code = typeof error_code === 'number' && error_code > 0 ? error_code : statusCode;
    throw new IncusApiError(code, typeof error === 'string' ? error : '');
  }
  return metadata;
}
