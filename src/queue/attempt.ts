/**
 * One attempt to deliver one job, from the journal's record to what became of it. It never throws. After a crash in the
 * middle the journal still says that the job is unfinished and names the temporary file, so the next run starts over.
 */
import { trace } from '../base/trace.ts';
import type { Delivery, FailureScope, Outcome, TreeDelivery } from '../delivery/target.ts';
import { CodedError, ERRORS, type ErrorCode, messageOf } from '../errors.ts';
import { isFinished, type Job, type JobDestination, laneOf } from '../protocol/job.ts';
import { keyOfPath, pathKeys } from '../protocol/path-key.ts';
import type { JobRecord } from '../spool/job-record.ts';
import type { StoredPayload } from '../spool/payload-source.ts';
import type { Spool } from '../spool/spool.ts';

/** The part of a delivery target that the queue uses. */
export type Deliverer = {
  deliver(delivery: Delivery): Promise<Outcome>;
  unpack(delivery: TreeDelivery): Promise<Outcome>;
  removeTemporary(project: string, instance: string, path: string): Promise<boolean>;
  probe(timeoutMs: number): Promise<{ reachable: true } | { reachable: false; reason: string }>;
};

export type AttemptContext = {
  readonly spool: Spool;
  readonly target: Deliverer;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly temporaryName: string;
  readonly onProgress: (bytes: number) => void;
  /** Told how many files of an archive are done with. */
  readonly onFiles: (files: number) => void;
};

export type AttemptResult = {
  readonly outcome: Outcome;
  /** Names of temporary files that are known to be gone. */
  readonly removed: readonly string[];
  /** Path keys of the files that an archive has put into place, also by an attempt that failed. */
  readonly placedKeys?: readonly number[];
};

export async function attemptDelivery(record: JobRecord, context: AttemptContext): Promise<AttemptResult> {
  const { spool } = context;
  const removed: string[] = [];
  const placedKeys: number[] = [];
  try {
    if (spool.isOvertaken(pathKeys(record), record.sequence)) {
      return { outcome: permanent('superseded'), removed };
    }
    const left = await removeLeftovers(record, context, removed);
    if (left !== undefined) return { outcome: left, removed };

    const payload = await spool.payloads.open(record);
    try {
      const noted = new Set([context.temporaryName]);
      const outcome = await deliver(record, payload, context, noted, placedKeys);
      if (outcome.kind === 'delivered' || !outcome.temporaryLeft) removed.push(...noted);
      return { outcome, removed, placedKeys };
    } finally {
      await payload.close();
    }
  } catch (error) {
    return { outcome: outcomeOfError(error), removed, placedKeys };
  }
}

/** `noted` is told the names of temporary files, `placedKeys` the files of an archive. */
function deliver(
  record: JobRecord,
  payload: StoredPayload,
  context: AttemptContext,
  noted: Set<string>,
  placedKeys: number[],
): Promise<Outcome> {
  const { spool, target, signal, timeoutMs, temporaryName } = context;
  const { sequence, project, instance, path, sourceName, mode, uid, gid, createDirs } = record;
  trace('delivering', sequence);
  const delivery: Omit<Delivery, 'sourceName' | 'mode'> = {
    project,
    instance,
    path,
    uid,
    gid,
    createDirs,
    payload,
    temporaryName,
    timeoutMs,
    signal,
    onTemporary: (temporaryPath) => {
      // An archive may need several, which differ in name.
      const name = temporaryPath.slice(temporaryPath.lastIndexOf('/') + 1);
      noted.add(name);
      return spool.temporaries.note({ sequence, name, project, instance, path: temporaryPath });
    },
    onProgress: context.onProgress,
    onRename: () => trace('before-rename', sequence),
  };
  if (record.extract === null) return target.deliver({ ...delivery, sourceName, mode });
  let files = 0;
  return target.unpack({
    ...delivery,
    // The first time nothing later can have been delivered, for later jobs wait for it.
    isOvertaken: (file) => record.attemptsTotal > 0 && spool.isOvertaken([keyOfPath(record, file)], sequence),
    onFile: (file, placed) => {
      files += 1;
      if (placed) placedKeys.push(keyOfPath(record, file));
      context.onFiles(files);
    },
  });
}

/** What stands in the way, or undefined when nothing is left of earlier attempts. */
async function removeLeftovers(
  record: JobRecord,
  { spool, target, timeoutMs, signal }: AttemptContext,
  removed: string[],
): Promise<Outcome | undefined> {
  const ofEarlier = strandedAt(record, spool).flatMap((sequence) => spool.temporaries.of(sequence));
  for (const temporary of [...spool.temporaries.of(record.sequence), ...ofEarlier]) {
    const { project, instance, path, name } = temporary;
    const gone = await unlessStopped(signal, target.removeTemporary(project, instance, path));
    if (gone === true) {
      if (temporary.sequence === record.sequence) removed.push(name);
      else await spool.temporaries.forget([temporary]);
      continue;
    }
    const answer = gone === STOPPED ? gone : await unlessStopped(signal, target.probe(timeoutMs));
    if (answer === STOPPED) return transient('cancelled', ERRORS.cancelled.sentence, 'job');
    if (!answer.reachable) return transient('target_unreachable', answer.reason, 'target');
    const what = `${instance}:${path}, which an earlier attempt left, cannot be removed`;
    const advice = 'see whether the instance runs and its file system can be written to';
    return transient('instance_unavailable', `${what}; ${advice}`, 'instance');
  }
  return undefined;
}

/**
 * Finished jobs for the same files that left something. An instance that hung may still do their rename when it goes on:
 * it must find nothing then, or it would replace what is delivered now. An archive may be about any file of its instance.
 */
export function strandedAt(destination: JobDestination & Pick<Job, 'extract'>, spool: Spool): number[] {
  const stranded = spool.temporaries.stranded();
  if (stranded.length === 0) return [];
  const keys = pathKeys(destination);
  return stranded.filter((sequence) => {
    const other = spool.read(sequence);
    if (other === undefined || !isFinished(other.state)) return false;
    if (destination.extract || other.extract) return laneOf(other) === laneOf(destination);
    return pathKeys(other).some((key) => keys.includes(key));
  });
}

const STOPPED = Symbol('stopped');

/** What the target answers; it has deadlines of its own, but a cancelled job need not wait for them. */
function unlessStopped<T>(signal: AbortSignal, work: Promise<T>): Promise<T | typeof STOPPED> {
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve(STOPPED);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

function transient(code: ErrorCode, message: string, scope: FailureScope): Outcome {
  const error = { code, message, retryable: true };
  return { kind: 'transient', error, scope, slow: false, temporaryLeft: true };
}

function permanent(code: ErrorCode, message: string = ERRORS[code].sentence): Outcome {
  return { kind: 'permanent', error: { code, message, retryable: false }, temporaryLeft: true };
}

/** A failure of our own side: a lost payload is for good, anything else (a full disk, say) may pass. */
function outcomeOfError(error: unknown): Outcome {
  if (error instanceof CodedError && error.code === 'payload_lost')
    return permanent('payload_lost', error.message);
  const code: ErrorCode = error instanceof CodedError ? error.code : 'internal';
  return {
    kind: 'transient',
    error: { code, message: messageOf(error), retryable: true },
    scope: 'job',
    slow: true,
    temporaryLeft: true,
  };
}
