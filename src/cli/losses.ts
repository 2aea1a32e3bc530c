/** What of a batch came to nothing, and why: the table at the end of a wait. */
import { CodedError, ERRORS } from '../errors.ts';
import type { Job } from '../protocol/job.ts';
import { type Column, formatColumns } from './columns.ts';
import type { GlobalFlags } from './context.ts';
import { pathOf } from './job-line.ts';
import { type Output, printable } from './output.ts';

const COLUMNS: readonly Column[] = [
  { heading: 'ID' },
  { heading: 'INSTANCE', cut: 'end', shrinks: { turn: 3, least: 8 } },
  { heading: 'PATH', cut: 'start', shrinks: { turn: 2, least: 12 }, goes: 1 },
  { heading: 'STATE', goes: 2 },
  { heading: 'REASON', cut: 'end', shrinks: { turn: 1, least: 14 } },
];

export type Losses = {
  readonly batch: string;
  readonly lost: readonly Job[];
  /** How many jobs were waited for. */
  readonly of: number;
};

/** On standard error: a table for people, with `--json` an object for each job. Nothing when nothing was lost. */
export function printLosses(
  output: Output,
  flags: Pick<GlobalFlags, 'json'>,
  { batch, lost, of }: Losses,
): void {
  if (lost.length === 0) return;
  if (flags.json) {
    for (const job of lost) output.fail(errorOf(job), { id: job.id });
    return;
  }
  const rows = [...lost]
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map((job) => [
      job.id,
      printable(job.instance),
      printable(pathOf(job)),
      job.state,
      printable(reasonOf(job)),
    ]);
  const width = process.stderr.isTTY ? process.stderr.columns : undefined;
  for (const line of formatColumns(COLUMNS, rows, width, (text) => text)) output.err(line.trimEnd());
  output.fail(summaryOf(batch, lost, of));
}

function summaryOf(batch: string, lost: readonly Job[], of: number): CodedError {
  const failed = lost.filter(({ state }) => state === 'failed');
  const what = `${lost.length} of the ${of} jobs of ${batch} came to nothing`;
  if (failed.length === 0) return new CodedError('cancelled', `${what}; they were cancelled`);
  return new CodedError(
    failed[0]?.error?.code ?? 'internal',
    `${what}; once the reasons are mended: incus-upload retry ${batch}`,
  );
}

function errorOf(job: Job): CodedError {
  const { code, message } = job.error ?? { code: 'internal' as const, message: 'no reason given' };
  if (job.state === 'cancelled') return new CodedError('cancelled', `${job.id} was cancelled`);
  return new CodedError(code, `${job.id} ${job.state}: ${message}`);
}

function reasonOf({ state, error }: Job): string {
  if (state === 'cancelled') return '';
  if (error === null) return 'no reason given';
  return `${error.code}: ${error.message || ERRORS[error.code].sentence}`;
}
