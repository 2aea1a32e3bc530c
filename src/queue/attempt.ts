/**
 * One attempt to deliver one job, from the journal's record to what became of it. It never throws. After a crash in the
 * middle the journal still says that the job is unfinished and names the temporary file, so the next run starts over.
 */
import { trace } from '../base/trace.ts';
import type { Delivery, FailureScope, Outcome } from '../delivery/target.ts';
import { CodedError, ERRORS, type ErrorCode, messageOf } from '../errors.ts';
import { isFinished, type JobDestination } from '../protocol/job.ts';
import { pathKeys } from '../protocol/path-key.ts';
import type { JobRecord } from '../spool/job-record.ts';
import type { StoredPayload } from '../spool/payload-source.ts';
import type { Spool } from '../spool/spool.ts';

/** The part of a delivery target that the queue uses. */
export type Deliverer = {
  deliver(delivery: Delivery): Promise<Outcome>;
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
};

export type AttemptResult = {
  readonly outcome: Outcome;
  /** Names of temporary files that are known to be gone. */
  readonly removed: readonly string[];
};

export async function attemptDelivery(record: JobRecord, context: AttemptContext): Promise<AttemptResult> {
  const { spool, target } = context;
  const removed: string[] = [];
  try {
    if (spool.isOvertaken(pathKeys(record), record.sequence)) {
      return { outcome: permanent('superseded'), removed };
    }
    const left = await removeLeftovers(record, context, removed);
    if (left !== undefined) return { outcome: left, removed };

    const payload = await spool.payloads.open(record);
    try {
      const outcome = await deliver(record, payload, context);
      if (outcome.kind === 'delivered' || !outcome.temporaryLeft) removed.push(context.temporaryName);
      return { outcome, removed };
    } finally {
      await payload.close();
    }
  } catch (error) {
    return { outcome: outcomeOfError(error), removed };
  }

  function deliver(
    job: JobRecord,
    payload: StoredPayload,
    { signal, timeoutMs, temporaryName }: AttemptContext,
  ): Promise<Outcome> {
    trace('delivering', job.sequence);
    return target.deliver({
      project: job.project,
      instance: job.instance,
      path: job.path,
      sourceName: job.sourceName,
      mode: job.mode,
      uid: job.uid,
      gid: job.gid,
      createDirs: job.createDirs,
      payload,
      temporaryName,
      timeoutMs,
      signal,
      onTemporary: (path) =>
        spool.temporaries.note({
          sequence: job.sequence,
          name: temporaryName,
          project: job.project,
          instance: job.instance,
          path,
        }),
      onProgress: context.onProgress,
      onRename: () => trace('before-rename', job.sequence),
    });
  }
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
    return transient('instance_unavailable', ERRORS.instance_unavailable.sentence, 'instance');
  }
  return undefined;
}

/**
 * Finished jobs for the same files that left something. An instance that hung may still do their rename when it goes on:
 * it must find nothing then, or it would replace what is delivered now.
 */
export function strandedAt(destination: JobDestination, spool: Spool): number[] {
  const stranded = spool.temporaries.stranded();
  if (stranded.length === 0) return [];
  const keys = pathKeys(destination);
  return stranded.filter((sequence) => {
    const other = spool.read(sequence);
    return (
      other !== undefined && isFinished(other.state) && pathKeys(other).some((key) => keys.includes(key))
    );
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
