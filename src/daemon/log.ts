import { type Logger, pino, stdTimeFunctions } from 'pino';
import type { LogFormat, LogLevel } from './config.ts';
import { escapeControls, formatLogLine } from './log-line.ts';

export type Log = Logger;

/** Tokens as `createToken` makes them, also cut off. */
const TOKENS = /iut_[\w-]{8,}/g;

/** What takes finished lines, each ending in a newline; standard error unless told otherwise. */
export type LogSink = { write(line: string): unknown };

/**
 * Opens the daemon's log. One record a line in both formats: control characters and invisible direction marks in
 * values come out as escapes, so that what a client sent can neither end a line nor steer a terminal. A token never gets
 * into it, wherever a client put it.
 */
export function openLog(options: { level: LogLevel; format: LogFormat; sink?: LogSink }): Log {
  const sink = options.sink ?? openStandardError();
  const shape = options.format === 'text' ? formatLogLine : escapeControls;
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => void sink.write(shape(line).replace(TOKENS, 'iut_…')) },
  );
}

function openStandardError(): LogSink {
  // Written at once: the last lines before a crash are the ones that matter.
  const destination = pino.destination({ dest: 2, sync: true });
  // A reader of the log that went away is no reason to stop taking files.
  destination.on('error', () => undefined);
  return destination;
}
