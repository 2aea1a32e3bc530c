/**
 * Characters that JSON may leave as they are and that still steer terminals or hide text: DEL and the C1 controls,
 * line and paragraph separators, direction marks.
 */
const STEERING = /[\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** One line of JSON with those characters as `\uXXXX`; what JSON means by the line stays the same. */
export function escapeControls(line: string): string {
  return line.replace(STEERING, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const LEVEL_WIDTH = 5;

/**
 * A line of pino's JSON as a line for people: `2026-01-02T03:04:05.678Z INFO  listening address=unix:/run/x.sock`.
 * Values with blanks, quotes or control characters stand as JSON. A line that is no JSON object is escaped and kept.
 */
export function formatLogLine(line: string): string {
  const record = parseRecord(line);
  if (record === undefined) return `${quote(line.trimEnd())}\n`;
  const { level, time, msg, err, ...fields } = record;
  const parts = [String(time), String(level).toUpperCase().padEnd(LEVEL_WIDTH), plain(String(msg ?? ''))];
  for (const [name, value] of Object.entries(fields)) parts.push(`${plain(name)}=${formatValue(value)}`);
  if (err !== undefined) parts.push(`error=${formatValue(errorText(err))}`);
  const stack = level === 'error' || level === 'fatal' ? stackOf(err) : '';
  return `${parts.join(' ')}\n${stack}`;
}

function parseRecord(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function formatValue(value: unknown): string {
  if (typeof value !== 'string') return escapeControls(JSON.stringify(value) ?? 'null');
  return /^[^\s"'=\\\p{C}]+$/u.test(value) ? value : quote(value);
}

function errorText(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'message' in error ? error.message : error;
}

/** The frames of a stack, each on an indented line of its own; its first lines repeat the message and are left out. */
function stackOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('stack' in error)) return '';
  const frames = String(error.stack)
    .split('\n')
    .filter((frame) => /^\s+at /.test(frame));
  return frames.map((frame) => `    ${plain(frame.trim())}\n`).join('');
}

function quote(text: string): string {
  return escapeControls(JSON.stringify(text));
}

/** The text without its quotes, but with its escapes where it needs any. */
function plain(text: string): string {
  return /\p{C}|[\u2028\u2029\\]/u.test(text) ? quote(text).slice(1, -1) : text;
}
