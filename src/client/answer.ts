import { CodedError, type ErrorCode } from '../errors.ts';
import { decodeProblem } from '../protocol/problem.ts';

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** One value of a header, or undefined. */
export function headerOf(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Seconds of a Retry-After value, which is a number of seconds or a date (RFC 9110 section 10.2.3). */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value);
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, Math.ceil((at - nowMs) / 1000));
}

/** The error that an answer of status 300 and above stands for; `text` is its whole body. */
export function readProblem(status: number, headers: Headers, text: string): CodedError {
  const problem = decodeProblem(parseJson(text));
  const code = problem?.code ?? codeOfStatus(status);
  const line = text.split('\n', 1)[0]?.trim() ?? '';
  const detail = problem?.detail ?? (/^[^<{]/.test(line) ? line : `The daemon answered ${status}.`);
  const retryAfterSeconds = parseRetryAfter(headerOf(headers, 'retry-after'), Date.now());
  return new CodedError(code, detail, retryAfterSeconds === undefined ? {} : { retryAfterSeconds });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** For answers without a problem document: something between us and the daemon, or not our daemon at all. */
function codeOfStatus(status: number): ErrorCode {
  switch (status) {
    case 401:
      return 'unauthorized';
    case 403:
      return 'forbidden';
    case 404:
      return 'not_found';
    case 405:
      return 'method_not_allowed';
    case 408:
      return 'stalled';
    case 409:
      return 'conflict';
    case 411:
      return 'length_required';
    case 413:
      return 'too_large';
    case 422:
      return 'key_reused';
    case 429:
      return 'too_many_uploads';
    case 431:
      return 'header_too_large';
    case 502:
    case 504:
      return 'daemon_unreachable';
    case 503:
      return 'not_ready';
    case 507:
      return 'disk_low';
    default:
      return status >= 500 ? 'internal' : 'bad_request';
  }
}
