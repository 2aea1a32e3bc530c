import { CodedError } from '../errors.ts';

const FACTORS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 };

/** Milliseconds from a text such as `250ms`, `30s`, `1h30m` or `0`; a bad text is `bad_request`. */
export function parseDuration(text: string): number {
  const trimmed = text.trim();
  if (trimmed === '0') return 0;
  let total = 0;
  let rest = trimmed;
  while (rest !== '') {
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)/.exec(rest);
    if (match === null) break;
    total += Number(match[1]) * (FACTORS_MS[match[2] ?? ''] ?? Number.NaN);
    rest = rest.slice(match[0].length);
  }
  if (trimmed === '' || rest !== '' || !Number.isSafeInteger(Math.round(total))) {
    throw new CodedError(
      'bad_request',
      `Cannot read the duration ${JSON.stringify(text)}: expected a number with ms, s, m, h or d`,
    );
  }
  return Math.round(total);
}

/** A duration for people, in its two largest units: `0.4s`, `42s`, `3m10s`, `2h5m`, `4d3h`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 9950) return `${(Math.max(durationMs, 0) / 1000).toFixed(1)}s`;
  const seconds = Math.round(durationMs / 1000);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return pair(seconds, 60, 'm', 1, 's');
  if (seconds < 86400) return pair(seconds, 3600, 'h', 60, 'm');
  return pair(seconds, 86400, 'd', 3600, 'h');
}

function pair(seconds: number, large: number, largeUnit: string, small: number, smallUnit: string): string {
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)}${largeUnit}${rest > 0 ? `${rest}${smallUnit}` : ''}`;
}
