/** The operands of `push`, and what of them cannot be meant. */
import { lstatSync, type Stats, statSync } from 'node:fs';
import { CodedError, messageOf } from '../errors.ts';
import {
  type BatchRequest,
  checkBatchRequest,
  type DestinationPattern,
  isPlain,
  parseDestinationPattern,
} from '../protocol/destination-pattern.ts';
import { baseName } from '../protocol/names.ts';
import type { PushOptions } from './push-options.ts';

/** One instance by its name: what becomes a job of its own and no batch. */
export function isSingle({ destinations, allWith }: BatchRequest): boolean {
  return destinations.length === 1 && allWith.length === 0 && destinations.every(isPlain);
}

/** With `--to` every operand is a source, as with `cp -t`; without it the last one is the destination. */
export function readOperands(
  operands: readonly string[],
  options: PushOptions,
): { sources: readonly string[]; batch: BatchRequest } {
  const { sources, texts } = divide(operands, options.to ?? []);
  const allWith = options.allWith ?? [];
  const batch = { destinations: texts.map((text) => parse(text, allWith.length > 0)), allWith };
  try {
    checkBatchRequest(batch);
  } catch (error) {
    throw new CodedError('usage', `--all-with ${messageOf(error)}`);
  }
  const directories = batch.destinations.map(({ path }) => path.endsWith('/'));
  if (sources.length > 1 && directories.includes(false)) {
    const text = texts[directories.indexOf(false)];
    throw new CodedError(
      'usage',
      `Several sources need a directory as destination: end it with / (${text}/)`,
    );
  }
  if (sources.filter((source) => source === '-').length > 1) {
    throw new CodedError('usage', 'Standard input can be sent only once');
  }
  if (options.timeout !== undefined && options.wait !== true) {
    throw new CodedError('usage', '--timeout limits the waiting and needs --wait');
  }
  checkTreeOptions(sources, options);
  if (options.extract === true || sources.some((source) => options.recursive === true && isTree(source))) {
    return { sources, batch };
  }
  refuseSameNames(sources);
  if (sources.includes('-') && directories.includes(true)) {
    throw new CodedError('usage', 'Standard input has no name: give the path of a file as destination');
  }
  // A directory among the sources is a mistake of the command line, so nothing is sent at all.
  for (const source of sources) if (source !== '-') refuseDirectory(source);
  return { sources, batch };
}

function checkTreeOptions(sources: readonly string[], options: PushOptions): void {
  const { recursive = false, extract = false, dereference = false, rules, mode } = options;
  const refuse = (message: string): never => {
    throw new CodedError('usage', message);
  };
  if (recursive && extract) refuse('--extract takes archives and --recursive directories: give one of them');
  if (!recursive && dereference) refuse('--dereference is for directories and needs --recursive');
  if (!recursive && rules.length > 0) refuse(`--${rules[0]?.kind} is for directories and needs --recursive`);
  const tree = recursive && sources.some(isTree);
  if (mode !== undefined && (tree || extract))
    refuse('--mode is for files; directories and archives have modes');
  if (tree && sources.includes('-')) refuse('Standard input has no name: push it without the directories');
  if (!extract) return;
  for (const source of sources) {
    if (statOf(source)?.isDirectory() === true) refuse(`${source} is a directory; send it with --recursive`);
  }
}

/** A link too: with --recursive it is sent as one. */
export function isTree(source: string): boolean {
  if (source === '-') return false;
  if (statOf(source)?.isDirectory() === true) return true;
  return lstatSync(source, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

/** In one directory one of them would replace the other. */
function refuseSameNames(sources: readonly string[]): void {
  const seen = new Set<string>();
  for (const source of sources) {
    const name = baseName(source);
    if (seen.has(name)) {
      throw new CodedError(
        'usage',
        `Two sources are named ${name}, one would replace the other; push them one by one`,
      );
    }
    seen.add(name);
  }
}

function refuseDirectory(path: string): void {
  if (statOf(path)?.isDirectory() !== true) return;
  throw new CodedError('usage', `${path} is a directory; send it with all that is in it by --recursive`);
}

export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function divide(
  operands: readonly string[],
  to: readonly string[],
): { sources: readonly string[]; texts: readonly string[] } {
  const last = operands.at(-1);
  if (last === undefined || (to.length === 0 && operands.length < 2)) {
    throw new CodedError(
      'usage',
      'push needs a source and a destination: incus-upload push SOURCE... INSTANCE:/path',
    );
  }
  if (to.length === 0) return { sources: operands.slice(0, -1), texts: [last] };
  if (operands.length > 1 && isDestination(last) && statOf(last) === undefined) {
    throw new CodedError(
      'usage',
      `With --to every operand is a source, and there is no file ${last}; a further destination is --to ${last}`,
    );
  }
  return { sources: operands, texts: to };
}

function parse(text: string, mayBeAll: boolean): DestinationPattern {
  if (text.startsWith(':') && !mayBeAll) {
    throw new CodedError(
      'usage',
      `Not a destination: "${text}" names no instance; expected INSTANCE:/path, or --all-with KEY=VALUE that chooses`,
    );
  }
  return parseDestinationPattern(text, mayBeAll);
}

function isDestination(text: string): boolean {
  try {
    parseDestinationPattern(text);
    return /^[^/]*:/.test(text);
  } catch {
    return false;
  }
}
