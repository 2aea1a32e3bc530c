import { formatDuration } from '../base/duration.ts';
import { formatSize } from '../base/size.ts';
import type { Job } from '../protocol/job.ts';
import { type Column, formatColumns } from './columns.ts';
import { pathOf } from './job-line.ts';
import { printable } from './output.ts';
import type { Paint } from './printer.ts';
import { formatCount, formatFiles } from './transfer.ts';

const COLUMNS: readonly Column[] = [
  { heading: 'ID' },
  { heading: 'AGE', right: true, goes: 4 },
  { heading: 'STATE' },
  { heading: 'INSTANCE', cut: 'end', shrinks: { turn: 3, least: 8 } },
  { heading: 'PATH', cut: 'start', shrinks: { turn: 2, least: 12 } },
  { heading: 'SIZE', right: true, goes: 2 },
  { heading: 'TRIES', right: true, goes: 1 },
  { heading: 'REASON', cut: 'end', shrinks: { turn: 1, least: 14 }, goes: 3 },
];
const STATE = 2;

/** A table of jobs with a heading. With `columns` no line is wider: the reason gives way first, then the path. */
export function formatJobTable(
  jobs: readonly Job[],
  paint: Paint,
  nowMs: number,
  columns: number | undefined,
): string[] {
  const rows = jobs.map((job) => [
    job.id,
    formatDuration(nowMs - job.createdAt),
    job.state,
    printable(job.instance),
    printable(pathOf(job)),
    formatSize(job.size),
    `${job.attempts}/${job.maxAttempts}`,
    printable(reasonOf(job, nowMs)),
  ]);
  return formatColumns(COLUMNS, rows, columns, (text, row, column) => {
    const job = jobs[row - 1];
    if (job === undefined) return paint.strong(text);
    return column === STATE ? paint.state(job.state, text) : text;
  });
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
