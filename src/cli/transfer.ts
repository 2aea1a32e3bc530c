import { formatDuration } from '../base/duration.ts';
import { formatSize } from '../base/size.ts';
import type { CodedError } from '../errors.ts';
import type { Job, JobState } from '../protocol/job.ts';

/** What is shown of a job while it is waited for; the daemon's answer to an upload has at least these. */
export type JobView = Pick<
  Job,
  | 'id'
  | 'state'
  | 'ahead'
  | 'attempts'
  | 'maxAttempts'
  | 'nextAttemptAt'
  | 'bytesDelivered'
  | 'size'
  | 'error'
  | 'filesTotal'
  | 'filesDone'
>;

/** One file, or one tree of files, on its way, as it is shown. Times are milliseconds of a clock that does not jump. */
export type Transfer = {
  readonly name: string;
  /** `INSTANCE:/path` with the file's own name. */
  readonly destination: string;
  sizeBytes: number | undefined;
  /** Of a tree, as far as it is known how many files it has. */
  readonly files: number | undefined;
  phase: 'pending' | 'hashing' | 'sending' | 'retrying' | 'accepted' | 'refused';
  bytesSent: number;
  startedAtMs: number;
  acceptedAtMs: number | undefined;
  finishedAtMs: number | undefined;
  /** The clock's time at which a refused attempt is tried again. */
  retryAtMs: number | undefined;
  error: CodedError | undefined;
  job: JobView | undefined;
  /** What became of it when it went to several destinations; its jobs are then transfers of their own. */
  batch?: { readonly id: string; readonly jobs: number };
  /** One of these jobs: it is no file of its own. */
  readonly part?: boolean;
};

/** Who shows transfers. `changed` tells a new phase or state, `progressed` only more bytes. */
export type TransferView = {
  changed(transfer: Transfer): void;
  progressed(transfer: Transfer): void;
  close(): void;
};

export function createTransfer(
  name: string,
  destination: string,
  sizeBytes: number | undefined,
  files?: number,
): Transfer {
  return {
    name,
    destination,
    sizeBytes,
    files,
    phase: 'pending',
    bytesSent: 0,
    startedAtMs: 0,
    acceptedAtMs: undefined,
    finishedAtMs: undefined,
    retryAtMs: undefined,
    error: undefined,
    job: undefined,
  };
}

/** Whether nothing more happens to it that would be shown. */
export function isOver(transfer: Transfer): boolean {
  return transfer.finishedAtMs !== undefined;
}

/** The state of a transfer in words, without its name. `nowMs` is the clock of the transfer, `wallMs` that of jobs. */
export function describeTransfer(transfer: Transfer, nowMs: number, wallMs: number): string {
  switch (transfer.phase) {
    case 'pending':
      return 'waiting to be sent';
    case 'hashing':
      return 'computing the checksum';
    case 'sending':
      return transfer.sizeBytes === undefined
        ? `sending to ${transfer.destination}`
        : `sending ${describeSize(transfer)} to ${transfer.destination}`;
    case 'retrying': {
      const leftMs = Math.max(0, (transfer.retryAtMs ?? nowMs) - nowMs);
      return `next try in ${formatDuration(leftMs)}: ${trimmed(transfer.error?.message ?? 'failed')}`;
    }
    case 'refused':
      return `failed: ${trimmed(transfer.error?.message ?? '')}`;
    case 'accepted':
      if (transfer.batch !== undefined) return describeBatch(transfer.batch);
      return transfer.job === undefined ? 'accepted' : describeJob(transfer, transfer.job, wallMs);
  }
}

function describeBatch({ id, jobs }: { readonly id: string; readonly jobs: number }): string {
  return `queued as ${id} for ${jobs === 1 ? '1 destination' : `${formatCount(jobs)} destinations`}`;
}

function describeJob(transfer: Transfer, job: JobView, wallMs: number): string {
  const times = describeTimes(transfer);
  switch (job.state) {
    case 'queued':
      return `queued as ${job.id}${describeAhead(job.ahead)}`;
    case 'delivering':
      return `delivering, attempt ${Math.max(1, job.attempts)} of ${job.maxAttempts}`;
    case 'deferred': {
      const leftMs = Math.max(0, (job.nextAttemptAt ?? wallMs) - wallMs);
      const why = trimmed(job.error?.message ?? 'the attempt failed');
      // The time first, as the reason may be longer than the line.
      return `next try in ${formatDuration(leftMs)}, attempt ${job.attempts} of ${job.maxAttempts} failed: ${why}`;
    }
    case 'delivered':
      return `${joined('delivered', describeFiles(transfer), `to ${transfer.destination}`)}${times}`;
    case 'failed':
      return `failed: ${trimmed(job.error?.message ?? 'no reason given')}`;
    case 'cancelled':
      return 'cancelled';
  }
}

/** `56 MiB`, or `1,234 files, 56 MiB` of a tree. */
export function describeSize({ files, sizeBytes }: Pick<Transfer, 'files' | 'sizeBytes'>): string {
  const size = sizeBytes === undefined ? '' : formatSize(sizeBytes);
  return [files === undefined ? '' : formatFiles(files), size].filter((text) => text !== '').join(', ');
}

/** `1,234 files` of a tree, `12 of 1,234 files` while they are delivered. */
export function describeFiles({ files, job }: Transfer): string {
  const all = files ?? job?.filesTotal ?? undefined;
  if (all === undefined) return '';
  const done = job?.state === 'delivering' ? job.filesDone : undefined;
  return typeof done === 'number' ? `${formatCount(done)} of ${formatFiles(all)}` : formatFiles(all);
}

/** `1 file`, `1,234 files`. */
export function formatFiles(files: number): string {
  return files === 1 ? '1 file' : `${formatCount(files)} files`;
}

/** With commas between the thousands. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ',');
}

/** `, next` or `, 3 ahead`, or nothing where it is not known. */
export function describeAhead(ahead: number | null): string {
  if (ahead === null) return '';
  return ahead === 0 ? ', next in line' : `, ${ahead} ahead`;
}

function describeTimes({ startedAtMs, acceptedAtMs, finishedAtMs }: Transfer): string {
  if (acceptedAtMs === undefined || finishedAtMs === undefined) return '';
  const sent = formatDuration(acceptedAtMs - startedAtMs);
  return ` (sent in ${sent}, delivered ${formatDuration(finishedAtMs - acceptedAtMs)} later)`;
}

function joined(...words: readonly string[]): string {
  return words.filter((word) => word !== '').join(' ');
}

function trimmed(message: string): string {
  return message.replace(/\.$/, '');
}

/** Whether a state means that the file did not arrive. */
export function isLost(state: JobState): boolean {
  return state === 'failed' || state === 'cancelled';
}
