import type { Connection } from '../client/connection.ts';
import { CodedError } from '../errors.ts';
import type { Job } from '../protocol/job.ts';
import { encodeJob } from '../protocol/job-wire.ts';
import { connect, type GlobalFlags } from './context.ts';
import { watchInterruption } from './interruption.ts';
import { formatJobLine } from './job-line.ts';
import { createOutput, exitStatusOf, type Output } from './output.ts';

/** Prints a job as the flags ask: its id, one JSON object, or one line. */
export function printJob(output: Output, flags: GlobalFlags, job: Job): void {
  if (flags.json) output.out(JSON.stringify(encodeJob(job)));
  else output.out(flags.quiet ? job.id : formatJobLine(job));
}

/** Without reading more of it than its mark. */
export function isBatchId(id: string): boolean {
  return id.startsWith('b-');
}

/** What a command does with one job: resolves to its exit status. */
export type JobAction = (
  context: {
    readonly connection: Connection;
    readonly output: Output;
    readonly signal: AbortSignal;
  },
  id: string,
) => Promise<number>;

/** What of a batch a command is for, and what to say when there is nothing of that kind in it. */
export type OfBatch = { readonly fits: (job: Job) => boolean; readonly otherwise: string };

const ALL: OfBatch = { fits: () => true, otherwise: '' };

/**
 * Does the same with several jobs, `atOnce` of them at a time; the id of a batch stands for the jobs of it that fit. A job that fails does not keep the others from their
 * turn; resolves to the exit status of the first that failed, in the order given.
 */
export async function forEachJob(
  ids: readonly string[],
  flags: GlobalFlags,
  atOnce: number,
  action: JobAction,
  ofBatch: OfBatch = ALL,
): Promise<number> {
  const { createSlots } = await import('./slots.ts');
  const output = createOutput(flags);
  const connection = await connect(flags);
  const { signal, stop } = watchInterruption();
  const inSlot = createSlots(atOnce);
  let interrupted: unknown;
  let expandStatus = 0;
  const expand = async (id: string): Promise<string[]> => {
    if (!isBatchId(id)) return [id];
    try {
      const { getBatch } = await import('../client/jobs.ts');
      const { jobs } = await getBatch(connection, id, { signal });
      const fitting = jobs.filter(ofBatch.fits);
      if (fitting.length === 0 && !flags.quiet && !flags.json)
        output.err(`incus-upload: ${id}: ${ofBatch.otherwise}`);
      return fitting.map((job) => job.id);
    } catch (error) {
      if (error instanceof CodedError && error.code === 'interrupted') interrupted = error;
      else output.fail(error, { id });
      expandStatus ||= exitStatusOf(error);
      return [];
    }
  };
  const one = async (id: string): Promise<number> => {
    try {
      signal.throwIfAborted();
      return await action({ connection, output, signal }, id);
    } catch (error) {
      if (error instanceof CodedError && error.code === 'interrupted') interrupted = error;
      else output.fail(error, { id });
      return exitStatusOf(error);
    }
  };
  try {
    const known = (await Promise.all(ids.map((id) => inSlot(() => expand(id))))).flat();
    const statuses = await Promise.all([...new Set(known)].map((id) => inSlot(() => one(id))));
    if (interrupted !== undefined) {
      output.fail(interrupted);
      return exitStatusOf(interrupted);
    }
    return statuses.find((status) => status !== 0) ?? expandStatus;
  } finally {
    stop();
    connection.close();
  }
}
