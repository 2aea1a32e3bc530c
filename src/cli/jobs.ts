import { listJobs } from '../client/jobs.ts';
import { CodedError } from '../errors.ts';
import type { Job, JobState } from '../protocol/job.ts';
import { wantsColor } from './color.ts';
import { connect, type GlobalFlags, projectOf } from './context.ts';
import { printJob } from './follow-jobs.ts';
import { watchInterruption } from './interruption.ts';
import { formatJobTable } from './job-table.ts';
import { createOutput } from './output.ts';
import { canDraw } from './view.ts';

export type JobsOptions = {
  readonly state?: JobState;
  readonly instance?: string;
  readonly batch?: string;
  readonly limit: number;
  readonly watch?: boolean;
};

/** `jobs`: a table, newest first; with `--watch` a live screen. */
export async function runJobs(options: JobsOptions, flags: GlobalFlags): Promise<number> {
  const output = createOutput(flags);
  const { state, instance, batch, limit } = options;
  const { TERM } = process.env;
  const query = { state, instance, batch, limit, project: projectOf(flags) };
  if (options.watch === true && (flags.json || flags.quiet || !canDraw(process.stdout, { TERM }))) {
    throw new CodedError('usage', '--watch needs a terminal, and neither --json nor --quiet');
  }
  const connection = await connect(flags);
  const { signal, stop } = watchInterruption();
  try {
    if (options.watch === true) {
      const { watchJobs } = await import('./watch-jobs.ts');
      return await watchJobs(connection, query, flags, signal);
    }
    if (flags.json || flags.quiet) {
      for await (const job of listJobs(connection, query, { signal })) {
        if (output.closed) break;
        printJob(output, flags, job);
      }
      return 0;
    }
    const jobs: Job[] = [];
    for await (const job of listJobs(connection, query, { signal })) jobs.push(job);
    const { createPaint } = await import('./printer.ts');
    const paint = createPaint(wantsColor(flags.color, process.stdout, process.env));
    const columns = process.stdout.isTTY ? process.stdout.columns : undefined;
    if (jobs.length === 0) output.err('no jobs');
    else for (const line of formatJobTable(jobs, paint, Date.now(), columns)) output.out(line);
    return 0;
  } finally {
    stop();
    connection.close();
  }
}
