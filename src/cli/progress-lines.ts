import { formatDuration } from '../base/duration.ts';
import { formatSize } from '../base/size.ts';
import { displayWidth, padEnd, truncateEnd, truncateStart } from './display-width.ts';

export type Progress = {
  readonly bytes: number;
  readonly totalBytes: number | undefined;
  /** Bytes a second. */
  readonly rate: number;
  /** Undefined while it cannot be told. */
  readonly timeLeftMs: number | undefined;
};

/** Columns that the name keeps at least, for each way of telling the numbers, from the longest to the shortest. */
const NAME_COLUMNS = [12, 5, 4, 3, 0] as const;
const NAME_COLUMNS_MAX = 40;

/**
 * One line of at most `columns`: name, percent, bytes, rate and time left, told shorter where there is little room.
 * `verb` stands before the numbers. `nameColumns` are wanted for the name, so that several lines stand in columns.
 */
export function formatProgress(
  name: string,
  verb: string,
  progress: Progress,
  columns: number,
  nameColumns: number = displayWidth(name),
): string {
  const { bytes, totalBytes, rate, timeLeftMs } = progress;
  const percent = totalBytes === undefined ? '' : `${percentOf(bytes, totalBytes)}%`.padStart(4);
  const speed = rate > 0 ? `${formatSize(rate)}/s` : '';
  const left = timeLeftMs === undefined ? '' : formatDuration(timeLeftMs);
  const of =
    totalBytes === undefined ? formatSize(bytes) : `${formatSize(bytes)} of ${formatSize(totalBytes)}`;
  const variants = [
    joined('  ', verb, percent, of, speed, left && `${left} left`),
    joined(' ', percent, formatSize(bytes), speed, left),
    joined(' ', percent, speed, left),
    joined(' ', percent, left),
    percent.trim(),
  ];
  const chosen = variants.findIndex((variant, index) => {
    const room = columns - variant.length - 2;
    return room >= Math.min(nameColumns, NAME_COLUMNS[index] ?? 0);
  });
  const numbers = variants[chosen === -1 ? variants.length - 1 : chosen] ?? '';
  const room = Math.min(columns - numbers.length - 2, NAME_COLUMNS_MAX);
  if (room <= 0) return truncateEnd(numbers, columns);
  return truncateEnd(
    `${padEnd(truncateStart(name, room), Math.min(room, nameColumns))}  ${numbers}`,
    columns,
  );
}

/** One line of at most `columns`: a name and words. */
export function formatWords(name: string, words: string, columns: number): string {
  const room = Math.min(
    NAME_COLUMNS_MAX,
    Math.max(8, Math.floor(columns / 3), columns - displayWidth(words) - 2),
  );
  return truncateEnd(`${truncateStart(name, room)}: ${words}`, columns);
}

export function percentOf(bytes: number, totalBytes: number): number {
  return totalBytes === 0 ? 100 : Math.min(100, Math.floor((bytes * 100) / totalBytes));
}

function joined(divider: string, ...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(divider);
}
