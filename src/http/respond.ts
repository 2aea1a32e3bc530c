import type { IncomingMessage, ServerResponse } from 'node:http';
import { type CodedError, ERRORS } from '../errors.ts';
import { encodeProblem } from '../protocol/problem.ts';
import { AuthError } from './auth-error.ts';
import { MethodError } from './method-error.ts';

/** Body that is still thrown away after a refusal, so that the sender reads the answer instead of a reset. */
const DRAIN_BYTES = 256 << 20;
const DRAIN_MS = 5000;

export function sendJson(
  res: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  const body = `${JSON.stringify(value)}\n`;
  res.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    ...headers,
  });
  res.end(body);
}

export function sendText(
  res: ServerResponse,
  status: number,
  body: string,
  headers: Record<string, string> = {},
): void {
  res.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    ...headers,
  });
  res.end(body);
}

/** Whether the answer to a failure is a problem document: on every `/v1` route, elsewhere when JSON is accepted. */
export function wantsJson(req: IncomingMessage): boolean {
  return req.url?.startsWith('/v1') === true || /\bjson\b/.test(req.headers.accept ?? '');
}

/**
 * Sends an answer. When the body of the request was not read to its end, the connection is closed after the answer,
 * but the rest of the body is still taken for a moment: closing at once would reset the connection and could take the
 * answer from the sender (RFC 9112 section 9.6).
 */
export function sendWhole(
  req: IncomingMessage,
  res: ServerResponse,
  status: number,
  body: string,
  headers: Record<string, string>,
): void {
  if (isRead(req)) {
    res.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
    res.end(body);
    return;
  }
  res.shouldKeepAlive = false;
  res.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body), Connection: 'close' });
  res.write(body);
  drain(req, () => res.end());
}

/** Whether nothing of the body is left to come; without length and chunks there is none (RFC 9112 section 6.3). */
function isRead(req: IncomingMessage): boolean {
  if (req.complete) return true;
  const { 'content-length': length = '0', 'transfer-encoding': coding } = req.headers;
  return coding === undefined && length === '0';
}

/** Answers with an error: a problem document (RFC 9457) or one line of text. */
export function sendError(req: IncomingMessage, res: ServerResponse, error: CodedError): void {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  const json = wantsJson(req);
  const body = json ? `${JSON.stringify(encodeProblem(error))}\n` : `${oneLine(error.message)}\n`;
  sendWhole(req, res, ERRORS[error.code].http, body, {
    'Content-Type': json ? 'application/problem+json' : 'text/plain; charset=utf-8',
    'X-Error-Code': error.code,
    ...(error.retryAfterSeconds === undefined ? {} : { 'Retry-After': String(error.retryAfterSeconds) }),
    ...(error instanceof AuthError ? { 'WWW-Authenticate': error.challenge } : {}),
    ...(error instanceof MethodError ? { Allow: error.allow } : {}),
  });
}

/** Throws away what still comes of a body, within limits, then calls `done` once. */
function drain(req: IncomingMessage, done: () => void): void {
  let bytes = 0;
  const timer = setTimeout(finish, DRAIN_MS);
  req.removeAllListeners('data');
  req.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > DRAIN_BYTES) finish();
  });
  req.on('end', finish);
  req.on('close', finish);
  req.on('error', finish);
  req.resume();

  function finish(): void {
    clearTimeout(timer);
    req.off('end', finish);
    req.off('close', finish);
    req.pause();
    done();
  }
}

/** A text without anything that could end a line. */
function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this replaces
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, ' ');
}
