/** `show` for a batch: what was sent, how its jobs stand, and a table of them. */
import { formatDuration } from '../base/duration.ts';
import { formatSize } from '../base/size.ts';
import type { Connection } from '../client/connection.ts';
import { getBatch } from '../client/jobs.ts';
import { JOB_STATES, type Job } from '../protocol/job.ts';
import { wantsColor } from './color.ts';
import type { GlobalFlags } from './context.ts';
import { formatJobTable } from './job-table.ts';
import { type Output, printable } from './output.ts';
import { createPaint, type Paint } from './printer.ts';
import { formatCount } from './transfer.ts';

export async function showBatch(
  connection: Connection,
  id: string,
  {
    output,
    flags,
    signal,
  }: { readonly output: Output; readonly flags: GlobalFlags; readonly signal: AbortSignal },
): Promise<number> {
  const { jobs, json } = await getBatch(connection, id, { signal });
  if (flags.json) output.out(JSON.stringify(json));
  else if (flags.quiet) for (const job of jobs) output.out(job.id);
  else {
    const paint = createPaint(wantsColor(flags.color, process.stdout, process.env));
    const columns = process.stdout.isTTY ? process.stdout.columns : undefined;
    for (const line of headOf(id, jobs, paint, Date.now())) output.out(line);
    for (const line of formatJobTable(jobs, paint, Date.now(), columns)) output.out(line);
  }
  return 0;
}

function headOf(id: string, jobs: readonly Job[], paint: Paint, nowMs: number): string[] {
  const [first] = jobs;
  if (first === undefined) return [];
  const rows: [string, string][] = [
    ['Batch', id],
    ['Jobs', `${formatCount(jobs.length)}: ${countsOf(jobs, paint)}`],
    ['Project', printable(first.project)],
    ['Source', printable(first.sourceName || '(standard input)')],
    ['Size', `${formatSize(first.size)} (${first.size} bytes), stored once`],
    [
      'Created',
      `${new Date(first.createdAt).toISOString()} (${formatDuration(nowMs - first.createdAt)} ago)`,
    ],
  ];
  if (first.submittedBy !== null) rows.push(['Sent by', printable(first.submittedBy)]);
  return rows.map(([name, value]) => `${paint.strong(`${name}:`)}${' '.repeat(14 - name.length)}${value}`);
}

function countsOf(jobs: readonly Job[], paint: Paint): string {
  return JOB_STATES.map((state) => [state, jobs.filter((job) => job.state === state).length] as const)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => paint.state(state, `${formatCount(count)} ${state}`))
    .join(', ');
}
