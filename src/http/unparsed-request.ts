/** What Node's parser refuses never becomes a request, or breaks one off; it is answered on the bare socket. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { CodedError, ERRORS, type ErrorCode, systemCode } from '../errors.ts';

/** A sender that never reads its answer must not keep the socket. */
const LINGER_MS = 2000;

const REASONS: Partial<Record<ErrorCode, string>> = {
  header_too_large: 'Request Header Fields Too Large',
  stalled: 'Request Timeout',
};

/** The error behind Node's `clientError`, or undefined when the sender only went away. */
export function clientErrorOf(error: Error): CodedError | undefined {
  const cause = error;
  switch (systemCode(error)) {
    case 'ECONNRESET':
    case 'EPIPE':
    case 'HPE_INVALID_EOF_STATE':
      return undefined;
    case 'HPE_HEADER_OVERFLOW':
      return new CodedError('header_too_large', undefined, { cause });
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new CodedError('stalled', 'The headers of the request did not come in time; send it again', {
        cause,
      });
    default:
      return new CodedError('bad_request', 'This is not a valid HTTP request', { cause });
  }
}

/**
 * Ends a connection whose bytes are no HTTP. `current` is the last request that was begun on it: an answer that is still
 * to come for a complete one goes out first, so that nobody takes the refusal for the answer to that one.
 */
export function refuseUnparsed(socket: Socket, error: CodedError, current: ServerResponse | undefined): void {
  if (current === undefined || current.writableFinished) endSocket(socket, answerText(error));
  else if (current.req.complete) current.once('close', () => endSocket(socket));
  else if (current.headersSent || current.socket === null) socket.destroy();
  else endSocket(socket, answerText(error));
}

/**
 * Ends a connection whose sender went away in the middle of a request. Who has only ended its side, after a request that
 * was whole and some bytes more, still waits for the answer to that one.
 */
export function endCutOff(socket: Socket, cause: Error, current: ServerResponse | undefined): void {
  const isAwaited = systemCode(cause) === 'HPE_INVALID_EOF_STATE' && current?.req.complete === true;
  if (isAwaited && !current.writableFinished) current.once('close', () => endSocket(socket));
  else if (isAwaited) endSocket(socket);
  else socket.destroy();
}

/** Closes our side and, when the other does not follow, all of it; at once would take the answer from the sender. */
function endSocket(socket: Socket, text?: string): void {
  const linger = setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.once('close', () => clearTimeout(linger));
  if (text === undefined) socket.end();
  else socket.end(text);
}

function answerText({ code, message }: CodedError): string {
  const body = `${message}\n`;
  return (
    `HTTP/1.1 ${ERRORS[code].http} ${REASONS[code] ?? 'Bad Request'}\r\n` +
    `Content-Type: text/plain; charset=utf-8\r\nX-Error-Code: ${code}\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  );
}
