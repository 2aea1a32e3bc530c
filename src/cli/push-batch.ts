/** One source for several destinations: sent once, and followed as the jobs that it becomes. Loaded when there are several. */
import { cancelJob, decodeBatchJobs } from '../client/jobs.ts';
import type { Accepted } from '../client/upload.ts';
import { CodedError } from '../errors.ts';
import { decodeBatchId } from '../protocol/batch-id.ts';
import { isFinished, type Job } from '../protocol/job.ts';
import { encodeJob } from '../protocol/job-wire.ts';
import { awaitJob } from './await-job.ts';
import { destinationOf } from './job-line.ts';
import { printLosses } from './losses.ts';
import { monotonicMs } from './monotonic-clock.ts';
import { exitStatusOf, printable } from './output.ts';
import { interruptedWhileSending, type Push, send } from './push-one.ts';
import { createTransfer, describeAhead, describeSize, isLost, type Transfer } from './transfer.ts';

/** Sends the source, says what became of it, and waits for its jobs when asked to. Resolves to the exit status. */
export async function pushBatch(push: Push): Promise<number> {
  const { transfer, view, options } = push;
  view.changed(transfer);
  let accepted: Accepted;
  let jobs: readonly Job[];
  try {
    accepted = await push.inSendSlot(() => send(push));
    jobs = await jobsOf(push, accepted);
  } catch (error) {
    transfer.phase = 'refused';
    transfer.finishedAtMs = monotonicMs();
    view.changed(transfer);
    throw interruptedWhileSending(error, push);
  }
  const now = monotonicMs();
  transfer.phase = 'accepted';
  transfer.batch = { id: accepted.id, jobs: jobs.length };
  transfer.acceptedAtMs = now;
  transfer.finishedAtMs = now;
  view.changed(transfer);
  const late = isLate(push);
  for (const job of jobs) if (!late) push.output.out(acceptedLine(push, job));
  return options.wait === true ? await followAll(push, accepted.id, jobs) : 0;
}

/** A daemon that knows no batches took the file for the first destination alone. */
async function jobsOf({ connection }: Push, { id, jobText }: Accepted): Promise<readonly Job[]> {
  if (decodeBatchId(id) !== undefined) return decodeBatchJobs(JSON.parse(jobText));
  const end = await cancelJob(connection, id).then(
    () => `${id} was cancelled`,
    () => `${id} may be delivered to the first of them`,
  );
  throw new CodedError(
    'bad_request',
    `The daemon does not know several destinations, as it is older than this program; ${end}; install the same version`,
  );
}

/** With --wait the one JSON object tells the end of a job. */
function isLate({ flags, options }: Push): boolean {
  return flags.json && !flags.quiet && options.wait === true;
}

function acceptedLine({ flags }: Push, job: Job): string {
  if (flags.quiet) return job.id;
  if (flags.json) return JSON.stringify(encodeJob(job));
  const size = describeSize({ files: job.filesTotal ?? undefined, sizeBytes: job.size });
  return printable(`${job.id} ${job.state} ${destinationOf(job)} (${size}${describeAhead(job.ahead)})`);
}

async function followAll(push: Push, batch: string, jobs: readonly Job[]): Promise<number> {
  const { output, flags } = push;
  const lost: Job[] = [];
  let interrupted: unknown;
  const one = async (job: Job): Promise<number> => {
    try {
      const end = await push.inWaitSlot(() => follow(push, job));
      if (!isLost(end.state)) return 0;
      lost.push(end);
      return 1;
    } catch (error) {
      if (error instanceof CodedError && error.code === 'interrupted') interrupted = error;
      else output.fail(error, { id: job.id });
      return exitStatusOf(error);
    }
  };
  const statuses = await Promise.all(jobs.map(one));
  push.view.close();
  printLosses(output, flags, { batch, lost, of: jobs.length });
  if (interrupted !== undefined)
    throw new CodedError('interrupted', `Interrupted; ${batch} was accepted and goes on being delivered`);
  return statuses.find((status) => status !== 0) ?? 0;
}

async function follow(push: Push, job: Job): Promise<Job> {
  const { connection, view, options, signal, output } = push;
  const transfer = transferOf(push, job);
  view.changed(transfer);
  let last = job;
  const onJob = (seen: Job): void => {
    last = seen;
    transfer.job = seen;
    if (isFinished(seen.state)) transfer.finishedAtMs = monotonicMs();
    view.changed(transfer);
  };
  try {
    return await awaitJob(connection, job.id, { signal, timeoutMs: options.timeout, onJob });
  } catch (error) {
    transfer.finishedAtMs = monotonicMs();
    throw error;
  } finally {
    if (isLate(push)) output.out(JSON.stringify(encodeJob(last)));
  }
}

/** Shown by the name of the instance: that is what tells the jobs of a batch apart. */
function transferOf({ transfer: whole }: Push, job: Job): Transfer {
  const destination = destinationOf(job);
  const transfer = createTransfer(job.instance, destination, job.size, job.filesTotal ?? undefined);
  const { startedAtMs, acceptedAtMs } = whole;
  return Object.assign(transfer, { phase: 'accepted' as const, startedAtMs, acceptedAtMs, job, part: true });
}
