import { type Logger, pino, stdTimeFunctions } from 'pino';
import type { LogFormat, LogLevel } from './config.ts';
import { escapeControls, formatLogLine } from './log-line.ts';

export type Log = Logger;

/** Tokens as `createToken` makes them, also cut off. */
const TOKENS = /iut_[\w-]{8,}/g;

/** What takes finished lines, each ending in a newline; standard error unless told otherwise. */
export type LogSink = { write(line: string, isUrgent: boolean): unknown };

/** Characters of log that may wait for the end of a turn of the event loop. */
const MOST_WAITING = 64 * 1024;

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
    {
      write: (line: string) => {
        const isUrgent = !line.startsWith('{"level":"info"');
        sink.write(shape(line).replace(TOKENS, 'iut_…'), isUrgent);
      },
    },
  );
}

/**
 * Lines of one turn of the event loop go out as one write: under load a write for each would cost more than the uploads
 * that they tell of. What is more than information goes out at once, and so does everything before the process ends.
 */
function openStandardError(): LogSink {
  const destination = pino.destination({ dest: 2, sync: true });
  // A reader of the log that went away is no reason to stop taking files.
  destination.on('error', () => undefined);
  let lines = '';
  const flush = (): void => {
    if (lines === '') return;
    const written = lines;
    lines = '';
    destination.write(written);
  };
  process.once('exit', flush);
  return {
    write: (line, isUrgent) => {
      if (lines === '' && !isUrgent) setImmediate(flush);
      lines += line;
      if (isUrgent || lines.length > MOST_WAITING) flush();
    },
  };
}
