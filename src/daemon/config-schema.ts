/** One schema for every option. Each value comes as text, from wherever it was given, so that one rule reads all. */
import { resolve } from 'node:path';
import { z } from 'zod';
import { parseDuration } from '../base/duration.ts';
import { parseSize } from '../base/size.ts';
import { parseTargetUrl } from '../delivery/target-url.ts';
import { messageOf } from '../errors.ts';
import { parseMode } from '../protocol/mode.ts';
import { type Config, LOG_FORMATS, LOG_LEVELS } from './config.ts';
import { type ListenAddress, parseListenAddress } from './listen-address.ts';

/** The longest that a timer of Node's waits; past it a timer fires at once. */
const MAX_TIMER_MS = 24 * 86_400_000;
const MAX_RETENTION_MS = 3650 * 86_400_000;

const given = (text: string): string => `got ${JSON.stringify(text)}`;

const text = <T>(read: (text: string) => T) =>
  z.string().transform((value, context): T => {
    try {
      return read(value);
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) });
      return z.NEVER;
    }
  });

const orNone =
  <T>(read: (text: string) => T) =>
  (value: string): T | null =>
    value === '' || value === 'none' ? null : read(value);

const count = (least: number, most: number) =>
  text((value) => {
    const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
    if (number >= least && number <= most) return number;
    throw new Error(`expected a whole number from ${least} to ${most}, ${given(value)}`);
  });

const duration = (leastMs: number, mostMs = MAX_TIMER_MS) =>
  text((value) => {
    const durationMs = readDuration(value);
    if (durationMs < leastMs) throw new Error(`expected a duration longer than 0, ${given(value)}`);
    if (durationMs > mostMs) {
      throw new Error(`expected a duration of at most ${mostMs / 86_400_000}d, ${given(value)}`);
    }
    return durationMs;
  });

function readDuration(value: string): number {
  try {
    return parseDuration(value);
  } catch {
    throw new Error(`expected a duration such as 500ms, 30s, 5m, 1h30m or 7d, ${given(value)}`);
  }
}

function readSize(value: string): number {
  try {
    return parseSize(value);
  } catch {
    throw new Error(`expected a size such as 64KiB, 1.5GB or 1048576, ${given(value)}`);
  }
}

function readMode(value: string): number {
  const mode = parseMode(value);
  if (mode === undefined || mode > 0o777)
    throw new Error(`expected an octal mode such as 0660, ${given(value)}`);
  return mode;
}

function readFlag(value: string): boolean {
  if (/^(?:true|yes|on|1)$/i.test(value)) return true;
  if (/^(?:false|no|off|0)$/i.test(value)) return false;
  throw new Error(`expected true or false, ${given(value)}`);
}

function readPath(value: string): string {
  if (value === '') throw new Error('expected a path, got an empty text');
  return resolve(value);
}

function readTarget(value: string): string {
  const target = value.startsWith('dir:') && value !== 'dir:' ? `dir:${resolve(value.slice(4))}` : value;
  try {
    parseTargetUrl(target);
    return target;
  } catch {
    throw new Error(`expected incus, unix:PATH, https://HOST:8443 or dir:PATH, ${given(value)}`);
  }
}

const oneOf = <T extends string>(words: readonly T[]) =>
  text((value) => {
    const word = words.find((candidate) => candidate === value);
    if (word === undefined) throw new Error(`expected one of ${words.join(', ')}, ${given(value)}`);
    return word;
  });

const listenAddresses = z
  .array(text(parseListenAddress))
  .min(1, 'expected at least one address') satisfies z.ZodType<readonly ListenAddress[]>;

const optionalPath = text(orNone(readPath));

export const configSchema = z.object({
  listen: listenAddresses,
  socketMode: text(readMode),
  socketGroup: text(orNone((value) => value)),
  stateDir: text(readPath),
  target: text(readTarget),
  targetCert: optionalPath,
  targetKey: optionalPath,
  targetServerCert: optionalPath,
  concurrency: count(1, 1024),
  instanceConcurrency: count(1, 1024),
  maxAttempts: count(1, 1_000_000),
  retryMinDelayMs: duration(1),
  retryMaxDelayMs: duration(1),
  slowRetryDelayMs: duration(0),
  deliveryTimeoutMs: duration(1),
  maxUploadSizeBytes: text(orNone(readSize)),
  maxQueuedJobs: count(1, 100_000_000),
  maxUploads: count(1, 100_000),
  minFreeSpaceBytes: text(readSize),
  bodyTimeoutMs: duration(1),
  retentionMs: duration(0, MAX_RETENTION_MS),
  lingerMs: duration(0, MAX_RETENTION_MS),
  shutdownGraceMs: duration(0),
  tlsCert: optionalPath,
  tlsKey: optionalPath,
  tlsClientCa: optionalPath,
  noAuth: text(readFlag),
  logLevel: oneOf(LOG_LEVELS),
  logFormat: oneOf(LOG_FORMATS),
}) satisfies z.ZodType<Config>;
