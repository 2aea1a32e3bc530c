import { CodedError, ERRORS, messageOf, systemCode } from '../errors.ts';
import { advise } from './advice.ts';
import type { GlobalFlags } from './context.ts';

export type ErrorAbout = { readonly source?: string | undefined; readonly id?: string | undefined };

/** Lines on standard output and standard error. Output that nobody reads any more (`| head`) is dropped silently. */
export type Output = {
  /** Whether standard output has lost its reader. */
  readonly closed: boolean;
  out(line: string): void;
  err(line: string): void;
  fail(error: unknown, about?: ErrorAbout): void;
};

export function createOutput(flags: Pick<GlobalFlags, 'json' | 'debug'>): Output {
  let closed = false;
  const broken = (error: unknown): void => {
    if (systemCode(error) !== 'EPIPE') throw error;
    closed = true;
  };
  let watched = false;
  // Nobody is left to be told: the exit status has to do.
  const unheard = (): void => undefined;
  let errWatched = false;
  const output: Output = {
    get closed() {
      return closed;
    },
    out(line) {
      if (!watched) process.stdout.on('error', broken);
      watched = true;
      if (!closed) process.stdout.write(`${line}\n`);
    },
    err(line) {
      if (!errWatched) process.stderr.on('error', unheard);
      errWatched = true;
      process.stderr.write(`${line}\n`);
    },
    fail(error, about = {}) {
      output.err(flags.json ? encodeFailure(error, about) : describeFailure(error, about));
      if (flags.debug && error instanceof Error) output.err(error.stack ?? '');
    },
  };
  return output;
}

/** The exit status that an error calls for. */
export function exitStatusOf(error: unknown): number {
  return ERRORS[codeOf(error)].exit;
}

function codeOf(error: unknown): keyof typeof ERRORS {
  return error instanceof CodedError ? error.code : 'internal';
}

/** What happened and what to do. What carries no code is nothing that anybody planned for. */
function adviceOf(error: unknown): string {
  if (error instanceof CodedError) return advise(error.code, error.message);
  return `${messageOf(error)}; this is a fault of incus-upload: report it with what --debug prints`;
}

function describeFailure(error: unknown, about: ErrorAbout): string {
  const what = printable(adviceOf(error));
  // A message of the file system names its file already, which may be one in the directory that is sent.
  const named = about.source === undefined || codeOf(error) === 'source_unreadable';
  const name = named ? undefined : printable(about.source ?? '');
  return `incus-upload: ${name === undefined || what.includes(name) ? '' : `${name}: `}${what}`;
}

function encodeFailure(error: unknown, about: ErrorAbout): string {
  const code = codeOf(error);
  const { exit, retryable } = ERRORS[code];
  const { source, id } = about;
  return JSON.stringify({
    error: {
      code,
      message: adviceOf(error),
      retryable,
      exit_status: exit,
      source: source ?? null,
      id: id ?? null,
    },
  });
}

/** A text for a terminal: control characters, which could move the cursor or hide text, become visible. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, (character) =>
    character === '\u200d'
      ? character
      : JSON.stringify(character)
          .slice(1, -1)
          .replace(/^\p{C}$/u, escapeCode),
  );
}

function escapeCode(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
