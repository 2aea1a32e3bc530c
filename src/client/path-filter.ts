import { readFileSync } from 'node:fs';
import ignore from 'ignore';
import { unreadable } from './source-error.ts';

/** What the options of one command line say, in their order. */
export type FilterRule = {
  readonly kind: 'exclude' | 'include' | 'exclude-from';
  /** A pattern, or the file that holds patterns. */
  readonly value: string;
};

/** Whether a path, relative to the directory that was named, is left out. */
export type PathFilter = (path: string, directory: boolean) => boolean;

/**
 * The patterns are those of gitignore(5) and the last that matches decides. What is in a directory that is left out is
 * never looked at.
 */
export function createPathFilter(rules: readonly FilterRule[]): PathFilter {
  if (rules.length === 0) return () => false;
  const patterns = ignore({ ignorecase: false, allowRelativePaths: true });
  for (const { kind, value } of rules) {
    if (kind === 'exclude') patterns.add({ pattern: value.replace(/^[!#]/, '\\$&') });
    else if (kind === 'include') patterns.add({ pattern: `!${value}` });
    else patterns.add(readPatterns(value));
  }
  return (path, directory) => patterns.ignores(directory ? `${path}/` : path);
}

function readPatterns(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw unreadable(file, error);
  }
}
