/** The result as a Markdown table whose columns line up in a terminal too. */
import type { Line } from './samples.ts';
import type { Bound } from './statistics.ts';

const TARGET_HEADER = ['#', 'work', 'ours', 'beside it', 'ours ÷ it', 'target', 'met'];
const HEADER = ['#', 'work', 'contender', 'median', 'min', 'max', 'unit', 'ours ÷ it', 'target', 'met'];

export function formatTable(lines: readonly Line[]): string {
  const rows = lines.map((line, index) => cells(line, lines[index - 1]));
  return align(HEADER, rows, new Set([0, 1, 2, 6]));
}

/** Only what has a target, one line each: the table for those who want to know whether, not how much. */
export function formatTargets(lines: readonly Line[]): string {
  const judged = lines.filter(({ target }) => target !== null);
  const rows = judged.map((line, index) => targetCells(line, judged[index - 1], oursOf(line, lines)));
  return align(TARGET_HEADER, rows, new Set([0, 1, 3]));
}

function align(header: readonly string[], rows: readonly string[][], left: ReadonlySet<number>): string {
  const widths = header.map((name, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0), name.length),
  );
  const pad = (row: readonly string[]): string => {
    const padded = widths.map((width, column) =>
      left.has(column) ? (row[column] ?? '').padEnd(width) : (row[column] ?? '').padStart(width),
    );
    return `| ${padded.join(' | ')} |`;
  };
  const rule = widths.map((width, column) =>
    left.has(column) ? ':'.padEnd(width + 2, '-') : ':'.padStart(width + 2, '-'),
  );
  return [pad(header), `|${rule.join('|')}|`, ...rows.map(pad)].join('\n');
}

/** What a line is compared with: ours comes first among those of one work. */
function oursOf(line: Line, lines: readonly Line[]): Line {
  const first = lines.find(
    ({ row, work, unit }) => row === line.row && work === line.work && unit === line.unit,
  );
  return line.ratio === null || first === undefined ? line : first;
}

function targetCells(line: Line, before: Line | undefined, ours: Line): string[] {
  const sameWork = before?.row === line.row && before.work === line.work;
  return [
    before?.row === line.row ? '' : line.row,
    sameWork ? '' : line.work,
    `${formatNumber(ours.summary.median)} ${line.unit}`,
    line.ratio === null ? '' : `${line.contender}: ${formatNumber(line.summary.median)}`,
    formatRatio(line),
    line.target === null ? '' : formatBound(line.target),
    formatMet(line),
  ];
}

function cells(line: Line, before: Line | undefined): string[] {
  const sameWork = before?.row === line.row && before.work === line.work;
  return [
    before?.row === line.row ? '' : line.row,
    sameWork ? '' : line.work,
    line.contender,
    formatNumber(line.summary.median),
    formatNumber(line.summary.min),
    formatNumber(line.summary.max),
    line.unit,
    formatRatio(line),
    line.target === null ? '' : formatBound(line.target),
    formatMet(line),
  ];
}

function formatRatio({ ratio }: Line): string {
  if (ratio === null) return '';
  return `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)})`;
}

function formatMet({ target, met }: Line): string {
  if (target === null) return '';
  if (met === null) return 'not judged';
  return met ? 'yes' : 'NO';
}

function formatBound({ is, value }: Bound): string {
  return `${is === '>=' ? '≥' : '≤'} ${value}`;
}

/** Three digits that matter, thousands with a thin comma, never an exponent. */
export function formatNumber(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en-US');
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value.toFixed(value >= 1 ? 2 : 3);
}
