import { formatDuration } from '../base/duration.ts';
import { formatSize } from '../base/size.ts';
import type { Job } from '../protocol/job.ts';
import { displayWidth, padEnd, truncateEnd, truncateStart } from './display-width.ts';
import { destinationOf } from './job-line.ts';
import { printable } from './output.ts';
import type { Paint } from './printer.ts';
import { formatCount, formatFiles } from './transfer.ts';

const HEADINGS = ['ID', 'AGE', 'STATE', 'DESTINATION', 'SIZE', 'TRIES', 'REASON'] as const;
const STATE = 2;
const DESTINATION = 3;
const REASON = 6;
const LEAST_DESTINATION = 16;
const GAP = 2;

/** A table of jobs with a heading. With `columns` no line is wider: the reason gives way first, then the destination. */
export function formatJobTable(
  jobs: readonly Job[],
  paint: Paint,
  nowMs: number,
  columns: number | undefined,
): string[] {
  const rows = [HEADINGS.slice(), ...jobs.map((job) => cells(job, nowMs))];
  const widths = HEADINGS.map((_, index) => Math.max(...rows.map((row) => displayWidth(row[index] ?? ''))));
  if (columns !== undefined) fit(widths, columns);
  return rows.map((row, rowIndex) => {
    const texts = row.map((text, index) => {
      const width = widths[index] ?? 0;
      const cut = index === DESTINATION ? truncateStart(text, width) : truncateEnd(text, width);
      const padded = index === REASON ? cut : padEnd(cut, width);
      const job = jobs[rowIndex - 1];
      if (job === undefined) return paint.strong(padded);
      return index === STATE ? paint.state(job.state, padded) : padded;
    });
    const line = texts.filter((_, index) => (widths[index] ?? 0) > 0).join(' '.repeat(GAP));
    return line.trimEnd();
  });
}

function cells(job: Job, nowMs: number): string[] {
  return [
    job.id,
    formatDuration(nowMs - job.createdAt),
    job.state,
    printable(destinationOf(job)),
    formatSize(job.size),
    `${job.attempts}/${job.maxAttempts}`,
    printable(reasonOf(job, nowMs)),
  ];
}

function reasonOf(job: Job, nowMs: number): string {
  if (job.state === 'queued' && job.ahead !== null && job.ahead > 0) return `${job.ahead} ahead`;
  if (job.state === 'delivering' && typeof job.filesTotal === 'number')
    return `${formatCount(job.filesDone ?? 0)} of ${formatFiles(job.filesTotal)}`;
  if (job.state === 'delivering' && job.size > 0)
    return `${Math.floor((job.bytesDelivered * 100) / job.size)}%`;
  if (job.error === null || job.state === 'delivered') return '';
  const next = job.nextAttemptAt === null ? '' : `in ${formatDuration(job.nextAttemptAt - nowMs)}: `;
  return `${next}${job.error.code}: ${job.error.message}`;
}

function fit(widths: number[], columns: number): void {
  const excess = (): number =>
    widths.reduce((sum, width) => sum + width + (width > 0 ? GAP : 0), 0) - GAP - (columns - 1);
  const shrink = (index: number, least: number): void => {
    widths[index] = Math.max(
      Math.min(least, widths[index] ?? 0),
      (widths[index] ?? 0) - Math.max(0, excess()),
    );
  };
  shrink(REASON, 12);
  shrink(DESTINATION, LEAST_DESTINATION);
  // On a very narrow terminal whole columns go: reason, tries, size, age.
  for (const index of [REASON, 5, 4, 1]) if (excess() > 0) widths[index] = 0;
  shrink(DESTINATION, 4);
}
