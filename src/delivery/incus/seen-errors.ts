/** What can be seen going wrong between here and an instance, as typed errors; `classify.ts` says what each means. */

const MAX_TEXT = 500;

/** What an instance says may be anything: one line of bounded length is kept, its end, where the reason is. */
function toOneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this replaces
  return text.slice(-MAX_TEXT).replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}

/** Incus answered a request with an error: `{"type":"error","error_code":404,"error":"…"}`. */
export class IncusApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message === '' ? `Incus answered ${status}` : toOneLine(message));
    this.name = 'IncusApiError';
    this.status = status;
  }
}

/** How far a connection had come: to Incus, to the answer 101, to the packet VERSION, or beyond. */
export type ConnectionPhase = 'connect' | 'upgrade' | 'version' | 'session';

/** The connection could not be made, or ended too early. */
export class ConnectionError extends Error {
  readonly phase: ConnectionPhase;

  constructor(phase: ConnectionPhase, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ConnectionError';
    this.phase = phase;
  }
}

/** The SFTP helper refused a request. `text` ends in Go's words for the system's error. */
export class SftpStatusError extends Error {
  readonly status: number;
  readonly text: string;
  readonly op: string;

  /** Without a stack trace: each new file begins with one of these, and the trace would cost more than all the rest. */
  static create(op: string, status: number, text: string): SftpStatusError {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    try {
      return new SftpStatusError(op, status, text);
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }

  constructor(op: string, status: number, text: string) {
    const line = toOneLine(text);
    super(`${op}: ${line === '' ? `status ${status}` : line}`);
    this.name = 'SftpStatusError';
    this.op = op;
    this.status = status;
    this.text = line;
  }
}
