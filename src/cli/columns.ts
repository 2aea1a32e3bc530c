import { displayWidth, padEnd, padStart, truncateEnd, truncateStart } from './display-width.ts';

export type Column = {
  readonly heading: string;
  /** Numbers stand at the right. */
  readonly right?: boolean;
  /** Which end of a text that is too long is cut off; of a path the end tells most. */
  readonly cut?: 'start' | 'end';
  /** How narrow it may become, in the order of the numbers, before whole columns go. */
  readonly shrinks?: { readonly turn: number; readonly least: number };
  /** Where there is still no room the columns that have a number go, the least first. */
  readonly goes?: number;
};

const GAP = 2;
/** What a column that never goes keeps. */
const LEAST = 4;

/** How a cell looks; row 0 is the heading. */
export type PaintCell = (text: string, row: number, column: number) => string;

/** Rows below a heading, in columns. With `width` no line is wider, and the last column of the terminal stays free. */
export function formatColumns(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number | undefined,
  paint: PaintCell,
): string[] {
  const all = [columns.map(({ heading }) => heading), ...rows];
  const widths = columns.map((_, index) => Math.max(0, ...all.map((row) => displayWidth(row[index] ?? ''))));
  if (width !== undefined) fit(columns, widths, width - 1);
  const shown = columns.map((_, index) => index).filter((index) => (widths[index] ?? 0) > 0);
  const last = shown.at(-1);
  return all.map((row, rowIndex) => {
    const cells = shown.map((index) => {
      const { cut, right } = columns[index] ?? {};
      const room = widths[index] ?? 0;
      const text = (cut === 'start' ? truncateStart : truncateEnd)(row[index] ?? '', room);
      const padded = right === true ? padStart(text, room) : index === last ? text : padEnd(text, room);
      return paint(padded, rowIndex, index);
    });
    return cells.join(' '.repeat(GAP)).trimEnd();
  });
}

/** As few columns go as make the others fit, once these are as narrow as they may be. */
function fit(columns: readonly Column[], widths: number[], room: number): void {
  const natural = [...widths];
  const excess = (): number =>
    widths.reduce((sum, width) => sum + width + (width > 0 ? GAP : 0), -GAP) - room;
  const shrink = (index: number, least: number): void => {
    const width = widths[index] ?? 0;
    widths[index] = Math.max(Math.min(least, width), width - Math.max(0, excess()));
  };
  const shrinking = inTurn(columns, ({ shrinks }) => shrinks?.turn);
  const going = inTurn(columns, ({ goes }) => goes);
  for (let gone = 0; gone <= going.length; gone += 1) {
    const left = new Set(going.slice(0, gone));
    natural.forEach((width, index) => {
      widths[index] = left.has(index) ? 0 : width;
    });
    for (const index of shrinking) shrink(index, columns[index]?.shrinks?.least ?? LEAST);
    if (excess() <= 0) return;
  }
  for (const index of shrinking) shrink(index, LEAST);
}

/** Indexes of the columns that have a turn, in that order. */
function inTurn(columns: readonly Column[], turnOf: (column: Column) => number | undefined): number[] {
  return columns
    .map((column, index) => ({ index, turn: turnOf(column) ?? 0 }))
    .filter(({ turn }) => turn > 0)
    .sort((a, b) => a.turn - b.turn)
    .map(({ index }) => index);
}
