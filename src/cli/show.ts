import { formatDuration } from '../base/duration.ts';
import { formatSize } from '../base/size.ts';
import { getJob } from '../client/jobs.ts';
import type { Job } from '../protocol/job.ts';
import { formatMode } from '../protocol/mode.ts';
import { wantsColor } from './color.ts';
import { connect, type GlobalFlags } from './context.ts';
import { isBatchId, printJob } from './follow-jobs.ts';
import { watchInterruption } from './interruption.ts';
import { destinationOf } from './job-line.ts';
import { createOutput, printable } from './output.ts';
import type { Paint } from './printer.ts';
import { formatCount } from './transfer.ts';

/** `show ID`, of a job or of a batch. */
export async function runShow(id: string, flags: GlobalFlags): Promise<number> {
  const output = createOutput(flags);
  const connection = await connect(flags);
  const { signal, stop } = watchInterruption();
  try {
    if (isBatchId(id)) {
      const { showBatch } = await import('./show-batch.ts');
      return await showBatch(connection, id, { output, flags, signal });
    }
    const job = await getJob(connection, id, { signal });
    if (flags.json || flags.quiet) {
      printJob(output, flags, job);
      return 0;
    }
    const { createPaint } = await import('./printer.ts');
    const paint = createPaint(wantsColor(flags.color, process.stdout, process.env));
    for (const line of describeJob(job, paint, Date.now())) output.out(line);
    return 0;
  } finally {
    stop();
    connection.close();
  }
}

function describeJob(job: Job, paint: Paint, nowMs: number): string[] {
  const rows: [string, string][] = [
    ['Job', job.id],
    ['State', paint.state(job.state)],
    ['Destination', printable(destinationOf(job))],
    ['Project', printable(job.project)],
    ...(job.batch ? ([['Batch', job.batch]] as [string, string][]) : []),
    ['Source', printable(job.sourceName || '(standard input)')],
    ['Size', `${formatSize(job.size)} (${job.size} bytes)`],
    ...contentRows(job),
    ['Created', `${new Date(job.createdAt).toISOString()} (${formatDuration(nowMs - job.createdAt)} ago)`],
    ['Attempts', `${job.attempts} of ${job.maxAttempts}`],
  ];
  if (job.sha256 !== null) rows.push(['SHA-256', job.sha256]);
  if (job.ahead !== null) rows.push(['Ahead', String(job.ahead)]);
  if (job.state === 'delivering') rows.push(['Delivered', `${formatSize(job.bytesDelivered)} so far`]);
  if (job.nextAttemptAt !== null) {
    rows.push(['Next attempt', `in ${formatDuration(job.nextAttemptAt - nowMs)}`]);
  }
  if (job.finishedAt !== null) {
    const took = formatDuration(job.finishedAt - job.createdAt);
    rows.push(['Finished', `${new Date(job.finishedAt).toISOString()} (after ${took})`]);
  }
  if (job.submittedBy !== null) rows.push(['Sent by', printable(job.submittedBy)]);
  if (job.error !== null)
    rows.push(['Error', paint.bad(printable(`${job.error.code}: ${job.error.message}`))]);
  const lines = rows.map(
    ([name, value]) => `${paint.strong(`${name}:`)}${' '.repeat(14 - name.length)}${value}`,
  );
  if (job.history.length > 0) lines.push(paint.strong('History:'));
  for (const { startedAt, endedAt, error } of job.history) {
    const result =
      error === null ? paint.good('delivered') : paint.bad(printable(`${error.code}: ${error.message}`));
    lines.push(
      `  ${new Date(startedAt).toISOString()}  ${formatDuration(endedAt - startedAt).padStart(6)}  ${result}`,
    );
  }
  return lines;
}

/** An archive has files, each with a mode of its own. */
function contentRows({ extract, filesTotal, filesDone, mode, uid, gid }: Job): [string, string][] {
  const owner = `uid ${uid}, gid ${gid}`;
  if (extract !== 'tar') return [['Mode', `${formatMode(mode)}, ${owner}`]];
  const counted = typeof filesTotal === 'number';
  return [
    [
      'Files',
      counted ? `${formatCount(filesDone ?? 0)} of ${formatCount(filesTotal)} unpacked` : 'to be unpacked',
    ],
    ['Owner', owner],
  ];
}
