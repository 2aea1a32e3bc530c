import type { Connection } from '../client/connection.ts';
import { withRetries } from '../client/retry.ts';
import type { Source } from '../client/source.ts';
import { type Accepted, upload } from '../client/upload.ts';
import { CodedError } from '../errors.ts';
import { isFinished, type Job } from '../protocol/job.ts';
import type { UploadRequest } from '../protocol/upload-headers.ts';
import type { GlobalFlags } from './context.ts';
import { monotonicMs } from './monotonic-clock.ts';
import { type Output, printable } from './output.ts';
import type { PushOptions } from './push-options.ts';
import {
  describeAhead,
  describeSize,
  isLost,
  type JobView,
  type Transfer,
  type TransferView,
} from './transfer.ts';

type Slot = <T>(work: () => Promise<T>) => Promise<T>;

export type Push = {
  readonly connection: Connection;
  readonly source: Source;
  readonly request: UploadRequest;
  readonly transfer: Transfer;
  readonly view: TransferView;
  readonly output: Output;
  readonly flags: GlobalFlags;
  readonly options: PushOptions;
  readonly inSendSlot: Slot;
  readonly inWaitSlot: Slot;
  readonly signal: AbortSignal;
};

/** Sends one source, says so, and waits for its job when asked to. Resolves to 0, or 1 when the job came to nothing. */
export async function pushOne(push: Push): Promise<number> {
  const { transfer, view, options, flags, output } = push;
  view.changed(transfer);
  let accepted: Accepted;
  try {
    accepted = await push.inSendSlot(() => send(push));
    if (push.source.extract !== undefined) {
      const { checkExtract } = await import('./check-extract.ts');
      await checkExtract(push.connection, accepted);
    }
  } catch (error) {
    transfer.phase = 'refused';
    transfer.finishedAtMs = monotonicMs();
    view.changed(transfer);
    throw interruptedWhileSending(error, push);
  }
  const now = monotonicMs();
  const job = viewOf(accepted);
  transfer.phase = 'accepted';
  transfer.acceptedAtMs = now;
  transfer.sizeBytes = job.size;
  transfer.job = job;
  if (options.wait !== true) transfer.finishedAtMs = now;
  view.changed(transfer);
  // With --wait the one JSON object tells the end of the job; the plain line is of use while it runs.
  const late = flags.json && !flags.quiet && options.wait === true;
  if (!late) output.out(acceptedLine(push, accepted, job));
  if (options.wait !== true) return 0;
  return await push.inWaitSlot(() => follow(push, accepted, late));
}

/** Sends the source, again where that makes sense; resolves once it is accepted. */
export async function send({
  connection,
  source,
  request,
  transfer,
  view,
  options,
  signal,
}: Push): Promise<Accepted> {
  signal.throwIfAborted();
  transfer.startedAtMs = monotonicMs();
  let sha256: string | null = null;
  if (options.checksum === true) {
    const { sha256OfSource } = await import('../client/checksum.ts');
    transfer.phase = 'hashing';
    view.changed(transfer);
    sha256 = await sha256OfSource(source, signal);
  }
  const attempt = (): Promise<Accepted> => {
    transfer.phase = 'sending';
    transfer.bytesSent = 0;
    view.changed(transfer);
    const onProgress = (bytesSent: number): void => {
      transfer.bytesSent = bytesSent;
      view.progressed(transfer);
    };
    return upload(connection, source, { ...request, sha256 }, { signal, onProgress });
  };
  return await withRetries(attempt, {
    retries: options.retries,
    signal,
    mayRepeat: () => source.rewindable,
    onRetry: (error, delayMs) => {
      transfer.phase = 'retrying';
      transfer.error = error;
      transfer.retryAtMs = monotonicMs() + delayMs;
      view.changed(transfer);
    },
  });
}

async function follow(push: Push, accepted: Accepted, late: boolean): Promise<number> {
  const { connection, transfer, view, options, signal, output } = push;
  const { awaitJob } = await import('./await-job.ts');
  const { encodeJob } = await import('../protocol/job-wire.ts');
  let last: string = accepted.jobText.trim();
  const onJob = (job: Job): void => {
    transfer.job = job;
    last = JSON.stringify(encodeJob(job));
    if (isFinished(job.state)) transfer.finishedAtMs = monotonicMs();
    view.changed(transfer);
  };
  try {
    const job = await awaitJob(connection, accepted.id, { signal, timeoutMs: options.timeout, onJob });
    if (late) output.out(last);
    if (!isLost(job.state)) return 0;
    const { explainLoss } = await import('./explain-loss.ts');
    output.fail(await explainLoss(connection, job, signal), { source: transfer.name, id: job.id });
    return 1;
  } catch (error) {
    transfer.finishedAtMs = monotonicMs();
    if (late) output.out(last);
    if (error instanceof CodedError && error.code === 'interrupted') {
      throw new CodedError(
        'interrupted',
        `Interrupted; ${accepted.id} was accepted and goes on being delivered`,
      );
    }
    throw error;
  }
}

export function interruptedWhileSending(error: unknown, { source, transfer }: Push): unknown {
  if (!(error instanceof CodedError) || error.code !== 'interrupted') return error;
  const whole = transfer.sizeBytes !== undefined && transfer.bytesSent >= transfer.sizeBytes;
  const fate =
    transfer.bytesSent > 0 && whole
      ? 'was sent whole, but the daemon had not accepted it yet; see: incus-upload jobs'
      : 'was not accepted';
  return new CodedError('interrupted', `Interrupted; ${source.name} ${fate}`);
}

function acceptedLine({ transfer, flags }: Push, { id, jobText }: Accepted, job: JobView): string {
  if (flags.quiet) return id;
  if (flags.json) return jobText.trim();
  const size = describeSize(transfer);
  return printable(`${id} ${job.state} ${transfer.destination} (${size}${describeAhead(job.ahead)})`);
}

/**
 * What the daemon's answer says of the job, as far as it is shown here. Read without the validator, whose loading would
 * take longer than a small upload.
 */
function viewOf({ id, jobText }: Accepted): JobView {
  let json: Partial<Record<string, unknown>> = {};
  try {
    json = JSON.parse(jobText) as typeof json;
  } catch {
    // Older daemons answer with a line of text; the id from the header is all that is needed.
  }
  const count = (name: string): number => (typeof json[name] === 'number' ? (json[name] as number) : 0);
  return {
    id: id as JobView['id'],
    state: json.state === 'delivered' || json.state === 'delivering' ? json.state : 'queued',
    ahead: typeof json.ahead === 'number' ? json.ahead : null,
    attempts: count('attempts'),
    maxAttempts: count('max_attempts'),
    nextAttemptAt: null,
    bytesDelivered: count('bytes_delivered'),
    size: count('size'),
    error: null,
    filesTotal: typeof json.files_total === 'number' ? json.files_total : null,
    filesDone: typeof json.files_done === 'number' ? json.files_done : null,
  };
}
