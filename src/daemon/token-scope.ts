/** From the options of `token add` to a scope. Whatever is wrong is `usage` and names the option. */
import { parseDuration } from '../base/duration.ts';
import { parseSize } from '../base/size.ts';
import { CodedError, messageOf } from '../errors.ts';
import { cleanPath, projectNameProblem } from '../protocol/names.ts';
import type { Scope } from '../protocol/scope.ts';

const MAX_GLOB_LENGTH = 1024;
const LONGEST_MS = 36_500 * 86_400_000;

/** As they stand on the command line. */
export type ScopeFlags = {
  readonly project?: readonly string[];
  readonly instance?: readonly string[];
  readonly path?: readonly string[];
  readonly maxUploadSize?: string | undefined;
  readonly readOnly?: boolean;
};

export function parseScope(flags: ScopeFlags): Scope {
  return {
    projects: (flags.project ?? []).map(parseProject),
    instances: (flags.instance ?? []).map(parseInstanceGlob),
    paths: (flags.path ?? []).map(parsePathGlob),
    maxUploadSizeBytes:
      flags.maxUploadSize === undefined || flags.maxUploadSize === 'none'
        ? null
        : read('--max-upload-size', () => parseSize(flags.maxUploadSize ?? '')),
    readOnly: flags.readOnly === true,
  };
}

/** When a token ends that is made now; null for never. */
export function parseExpiry(text: string | undefined, nowMs: number): number | null {
  if (text === undefined) return null;
  const durationMs = read('--expires', () => parseDuration(text));
  if (durationMs <= 0 || durationMs > LONGEST_MS)
    throw usage('--expires', 'expected a duration longer than 0 and up to 36500d, such as 30d');
  return nowMs + durationMs;
}

function parseProject(text: string): string {
  const problem = projectNameProblem(text);
  if (problem !== undefined) throw usage('--project', problem);
  return text;
}

function parseInstanceGlob(text: string): string {
  if (/^[A-Za-z0-9*?-]{1,63}$/.test(text)) return text;
  throw usage('--instance', `expected a name, perhaps with * and ?, got ${JSON.stringify(text)}`);
}

/** A final `/` means everything below. */
function parsePathGlob(text: string): string {
  const got = `got ${JSON.stringify(text.slice(0, 80))}`;
  const glob = text.endsWith('/') ? `${text}**` : text;
  if (!glob.startsWith('/')) throw usage('--path', `expected an absolute path, perhaps with * and ?, ${got}`);
  if (glob !== cleanPath(glob) || glob.split('/').includes('..') || glob.includes('\0'))
    throw usage('--path', `expected a path without //, . and .., ${got}`);
  if (glob.length > MAX_GLOB_LENGTH)
    throw usage('--path', `expected at most ${MAX_GLOB_LENGTH} characters, ${got}`);
  return glob;
}

function read<T>(option: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw usage(option, messageOf(error));
  }
}

function usage(option: string, message: string): CodedError {
  return new CodedError('usage', `${option}: ${message}`);
}
