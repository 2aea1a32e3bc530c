/**
 * Destinations of one upload: `web-1:/path`, several names with commas between them, or patterns of names, in which `*`
 * stands for any characters and `?` for one. No name of an instance holds any of these, so a text that is a plain
 * destination is one here too. Pure.
 */
import { matchesGlob } from '../base/glob.ts';
import { CodedError } from '../errors.ts';
import { cleanPath, instanceNameProblem, pathProblem } from './names.ts';

/** Instances, each by its name or by a pattern, and the path in them. */
export type DestinationPattern = {
  readonly names: readonly string[];
  /** Absolute, cleaned; ends in `/` when it names a directory. */
  readonly path: string;
};

/** An instance is meant only if its configuration has this value. */
export type ConfigFilter = { readonly key: string; readonly value: string };

/** More than one job may come of it, so the upload becomes a batch. */
export type BatchRequest = {
  readonly destinations: readonly DestinationPattern[];
  /** All of them have to hold; they choose among what patterns match. */
  readonly allWith: readonly ConfigFilter[];
};

/** The pattern of all instances. */
export const ANY_INSTANCE = '*';

const PATTERN = /^[A-Za-z0-9*?-]{1,63}$/;

export function isPattern(name: string): boolean {
  return /[*?]/.test(name);
}

export function matchesName(pattern: string, instance: string): boolean {
  return matchesGlob(pattern, instance);
}

/** Whether it means one instance by its name and nothing else. */
export function isPlain({ names }: DestinationPattern): boolean {
  return names.length === 1 && names.every((name) => !isPattern(name));
}

/** Reads `web-1,web-*`; throws `usage`. */
export function parseNames(text: string): readonly string[] {
  const names = text.split(',').map((name) => name.trim());
  for (const name of names) {
    const problem = isPattern(name) ? patternProblem(name) : instanceNameProblem(name);
    if (problem !== undefined) throw new CodedError('usage', problem);
  }
  return [...new Set(names)];
}

function patternProblem(pattern: string): string | undefined {
  if (PATTERN.test(pattern)) return undefined;
  return `Not a pattern of instance names: ${JSON.stringify(pattern)}; expected letters, digits and dashes with * and ? among them`;
}

/**
 * Reads `NAMES:/path` or, as in `incus file push`, `NAMES/path`. Without names all instances are meant, where `mayBeAll`
 * says that something else chooses among them. A bad text is `usage`.
 */
export function parseDestinationPattern(text: string, mayBeAll = false): DestinationPattern {
  const at = text.search(/[:/]/);
  const bad = (why: string): CodedError =>
    new CodedError('usage', `Not a destination: ${JSON.stringify(text)} ${why}; expected INSTANCE:/path`);
  if (at === -1) throw bad('names no path');
  if (at === 0 && !(mayBeAll && text.startsWith(':'))) throw bad('names no instance');
  const path = cleanPath(text[at] === ':' ? text.slice(at + 1) : text.slice(at));
  if (path === '') throw bad('names no path');
  if (!path.startsWith('/')) throw bad('has a path that does not begin with /');
  const problem = pathProblem(path)?.message;
  if (problem !== undefined) throw new CodedError('usage', problem);
  return { names: at === 0 ? [ANY_INSTANCE] : parseNames(text.slice(0, at)), path };
}

/** The reverse of {@link parseDestinationPattern}. */
export function formatDestinationPattern({ names, path }: DestinationPattern): string {
  return `${names.join(',')}:${path}`;
}

/** Reads `KEY=VALUE`; throws `usage`. */
export function parseConfigFilter(text: string): ConfigFilter {
  const [, key, value] = /^([^\s=]+)=(.*)$/s.exec(text) ?? [];
  if (key !== undefined && value !== undefined) return { key, value };
  throw new CodedError(
    'usage',
    `Not a choice by configuration: ${JSON.stringify(text)}; expected KEY=VALUE, such as user.role=web`,
  );
}

export function formatConfigFilter({ key, value }: ConfigFilter): string {
  return `${key}=${value}`;
}

/** Throws `usage` when there is a choice by configuration, but nothing to choose from. */
export function checkBatchRequest({ destinations, allWith }: BatchRequest): void {
  const [filter] = allWith;
  if (filter === undefined || destinations.some(({ names }) => names.some(isPattern))) return;
  throw new CodedError(
    'usage',
    `${formatConfigFilter(filter)} chooses among instances that a pattern matches; use * for all of them`,
  );
}
