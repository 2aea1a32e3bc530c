/** Problem documents (RFC 9457) with this project's stable `code` member. */
import { type CodedError, ERRORS, type ErrorCode, isErrorCode } from '../errors.ts';

export type Problem = {
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
};

export function encodeProblem(error: CodedError): Problem {
  const { http, sentence } = ERRORS[error.code];
  return { type: 'about:blank', title: sentence, status: http, detail: error.message, code: error.code };
}

/** Code and text of a problem document, or undefined when the JSON is none. */
export function decodeProblem(json: unknown): { code: ErrorCode; detail: string } | undefined {
  if (typeof json !== 'object' || json === null || !('code' in json)) return undefined;
  const code = json.code;
  if (typeof code !== 'string' || !isErrorCode(code)) return undefined;
  const detail = 'detail' in json && typeof json.detail === 'string' ? json.detail : ERRORS[code].sentence;
  return { code, detail };
}
