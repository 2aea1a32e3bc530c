import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../base/duration.ts';
import { messageOf } from '../errors.ts';
import { type ConfigFilter, parseConfigFilter } from '../protocol/destination-pattern.ts';
import { parseMode } from '../protocol/mode.ts';

const MAX_ID = 2 ** 32 - 2;

/** A reader of whole numbers from `least` on. */
export function parseCount(least: number): (text: string) => number {
  return (text) => {
    const count = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(count >= least)) throw new InvalidArgumentError(`Expected a number from ${least} on.`);
    return count;
  };
}

export function parseId(text: string): number {
  const id = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(id <= MAX_ID)) throw new InvalidArgumentError(`Expected a number from 0 to ${MAX_ID}.`);
  return id;
}

export function parseModeOption(text: string): number {
  const mode = parseMode(text);
  if (mode === undefined) throw new InvalidArgumentError('Expected an octal mode such as 0644.');
  return mode;
}

/** Milliseconds. */
export function parseTimeout(text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)}.`);
  }
}

export function parseFilterOption(text: string): ConfigFilter {
  try {
    return parseConfigFilter(text);
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)}.`);
  }
}
