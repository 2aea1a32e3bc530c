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

const NAME_COLUMNS_MAX = 40;

export type ProgressRow = { readonly name: string; readonly verb: string; readonly progress: Progress };

/**
 * One line of at most `columns`: name, percent, bytes, rate and time left, told shorter where there is little room.
 * `verb` stands before the numbers.
 */
export function formatProgress(name: string, verb: string, progress: Progress, columns: number): string {
  return formatProgressRows([{ name, verb, progress }], columns)[0] ?? '';
}

/** Such lines below each other, their numbers beginning in one column. */
export function formatProgressRows(
  rows: readonly ProgressRow[],
  columns: number,
  leastNameColumns = 0,
): string[] {
  const nameColumns = Math.max(leastNameColumns, ...rows.map(({ name }) => displayWidth(name)));
  const numbers = rows.map((row) => numbersOf(row, columns, nameColumns));
  const room = Math.min(NAME_COLUMNS_MAX, ...numbers.map((text) => columns - text.length - 2));
  return rows.map(({ name }, index) => {
    const text = numbers[index] ?? '';
    if (room <= 0) return truncateEnd(text, columns);
    const shown = padEnd(truncateStart(name, room), Math.min(room, nameColumns));
    return truncateEnd(`${shown}  ${text}`, columns);
  });
}

/** The longest way to tell the numbers that leaves enough of the name. */
function numbersOf({ verb, progress }: ProgressRow, columns: number, nameColumns: number): string {
  const { bytes, totalBytes, rate, timeLeftMs } = progress;
  const percent = totalBytes === undefined ? '' : `${percentOf(bytes, totalBytes)}%`.padStart(4);
  const speed = rate > 0 ? `${formatSize(rate)}/s` : '';
  const left = timeLeftMs === undefined ? '' : formatDuration(timeLeftMs);
  const of =
    totalBytes === undefined ? formatSize(bytes) : `${formatSize(bytes)} of ${formatSize(totalBytes)}`;
  /** Ways of telling the numbers, from the longest to the shortest, each with what it leaves of the name at least. */
  const variants: (readonly [text: string, nameColumns: number])[] = [
    [joined('  ', verb, percent, of, speed, left && `${left} left`), 12],
    // What is done, and to how many files, tells more than when it ends.
    ...(verb === ''
      ? []
      : ([
          [joined('  ', verb, percent, of, speed), 12],
          [joined('  ', verb, percent, of), 12],
        ] as const)),
    [joined(' ', percent, formatSize(bytes), speed, left), 5],
    [joined(' ', percent, speed, left), 4],
    [joined(' ', percent, left), 3],
  ];
  const chosen = variants.find(
    ([text, least]) => columns - text.length - 2 >= Math.min(nameColumns, least),
  )?.[0];
  return chosen ?? percent.trim();
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
