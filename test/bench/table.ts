/** The result as a Markdown table whose columns line up in a terminal too. */
import type { Line } from './samples.ts';
import type { Bound } from './statistics.ts';

const HEADER = ['#', 'work', 'contender', 'median', 'min', 'max', 'unit', 'ours ÷ it', 'target', 'met'];
const LEFT = new Set([0, 1, 2, 6]);

export function formatTable(lines: readonly Line[]): string {
  const rows = lines.map((line, index) => cells(line, lines[index - 1]));
  const widths = HEADER.map((name, column) =>
    Math.max(...[HEADER, ...rows].map((row) => row[column]?.length ?? 0), name.length),
  );
  const pad = (row: readonly string[]): string =>
    `| ${widths.map((width, column) => (LEFT.has(column) ? (row[column] ?? '').padEnd(width) : (row[column] ?? '').padStart(width))).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => (LEFT.has(column) ? ':'.padEnd(width + 2, '-') : ':'.padStart(width + 2, '-'))).join('|')}|`;
  return [pad(HEADER), rule, ...rows.map(pad)].join('\n');
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
    line.ratio === null
      ? ''
      : `${line.ratio.median.toFixed(2)} (${line.ratio.min.toFixed(2)}–${line.ratio.max.toFixed(2)})`,
    line.target === null ? '' : formatBound(line.target),
    line.target === null ? '' : line.met === null ? 'not judged' : line.met ? 'yes' : 'NO',
  ];
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
