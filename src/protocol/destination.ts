import { CodedError } from '../errors.ts';
import { cleanPath, instanceNameProblem, pathProblem } from './names.ts';

export type Destination = {
  readonly instance: string;
  /** Absolute, cleaned; ends in `/` when it names a directory. */
  readonly path: string;
};

/**
 * Reads `INSTANCE:/path` or, as in `incus file push`, `INSTANCE/path`. A bad text is `usage`.
 * Whichever of `:` and `/` comes first divides, so a path may hold colons.
 */
export function parseDestination(text: string): Destination {
  const at = text.search(/[:/]/);
  const bad = (why: string): CodedError =>
    new CodedError('usage', `Not a destination: ${JSON.stringify(text)} ${why}; expected INSTANCE:/path`);
  if (at === 0) throw bad('names no instance');
  if (at === -1) throw bad('names no path');
  const instance = text.slice(0, at);
  const path = cleanPath(text[at] === ':' ? text.slice(at + 1) : text.slice(at));
  if (path === '') throw bad('names no path');
  if (!path.startsWith('/')) throw bad('has a path that does not begin with /');
  const problem = instanceNameProblem(instance) ?? pathProblem(path)?.message;
  if (problem !== undefined) throw new CodedError('usage', problem);
  return { instance, path };
}

/** The reverse of {@link parseDestination}: `INSTANCE:/path`. */
export function formatDestination({ instance, path }: Destination): string {
  return `${instance}:${path}`;
}
