/** The routes below /v1/jobs. */
import type { ServerResponse } from 'node:http';
import { CodedError } from '../errors.ts';
import { isFinished, JOB_STATES, type Job, type JobState } from '../protocol/job.ts';
import { decodeJobId, encodeJobId } from '../protocol/job-id.ts';
import { encodeJob } from '../protocol/job-wire.ts';
import { instanceNameProblem, projectNameProblem } from '../protocol/names.ts';
import { listJobs } from '../spool/listing.ts';
import type { AppContext } from './app-context.ts';
import { InvalidTokenError } from './auth-error.ts';
import { parseBatchId } from './batches.ts';
import { type Caller, demandJob } from './caller.ts';
import { peerOf } from './peer.ts';
import { sendError, sendJson } from './respond.ts';
import { codedError } from './upload-draft.ts';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;
const MAX_WAIT_SECONDS = 300;
/** Of a name in a sentence; longer than any that is valid. */
const MAX_NAME_LENGTH = 100;

export function getJobs({ spool, queue }: AppContext, caller: Caller, url: URL, res: ServerResponse): void {
  const { searchParams } = url;
  const state = searchParams.get('state') || undefined;
  if (state !== undefined && !isJobState(state)) throw bad(`state: expected one of ${JOB_STATES.join(', ')}`);
  const after = searchParams.get('after') || undefined;
  const before = after === undefined ? undefined : decodeJobId(after);
  if (after !== undefined && before === undefined) throw bad('after: expected the next of an earlier page');
  const batch = searchParams.get('batch') || undefined;
  const page = listJobs(
    spool,
    {
      state,
      instance: nameIn(searchParams, 'instance', instanceNameProblem),
      project: nameIn(searchParams, 'project', projectNameProblem),
      batch: batch === undefined ? undefined : parseBatchId(batch),
      limit: Math.min(parseCount(searchParams, 'limit', DEFAULT_LIMIT, 1), MAX_LIMIT),
      before,
    },
    new Set(queue.active.delivering()),
    (record) => caller.covers(record),
  );
  sendJson(res, 200, {
    jobs: page.records.map((record) => encodeJob(queue.view(record))),
    next: page.next === null ? null : encodeJobId(page.next),
  });
}

/** With `?wait=SECONDS` the answer comes when the job is finished, or after that time as it stands then. */
export function getJob(context: AppContext, caller: Caller, id: string, url: URL, res: ServerResponse): void {
  const sequence = parseId(id);
  const waitSeconds = Math.min(parseCount(url.searchParams, 'wait', 0, 0), MAX_WAIT_SECONDS);
  const job = findJob(context, caller, sequence);
  if (waitSeconds === 0 || context.closing || isFinished(job.state)) {
    sendJson(res, 200, encodeJob(job));
    return;
  }
  const stop = context.queue.feed.watchJob(sequence, () => look(false));
  const timer = setTimeout(answer, waitSeconds * 1000);
  context.waiting.add(answer);
  res.on('close', end);

  function answer(): void {
    look(true);
  }
  /** Called while the queue works, or by a timer: nobody there could do anything about an error. */
  function look(anyState: boolean): void {
    try {
      if (!caller.isStillValid) throw new InvalidTokenError();
      const now = findJob(context, caller, sequence);
      if (!anyState && !isFinished(now.state)) return;
      end();
      sendJson(res, 200, encodeJob(now));
    } catch (error) {
      end();
      refuse(codedError(error));
    }
  }
  function refuse(error: CodedError): void {
    const { method = '', url = '' } = res.req;
    context.onRefused({ peer: peerOf(res.req), method, url, error });
    sendError(res.req, res, error);
  }
  function end(): void {
    clearTimeout(timer);
    context.waiting.delete(answer);
    stop();
  }
}

export async function cancelJob(
  context: AppContext,
  caller: Caller,
  id: string,
  res: ServerResponse,
): Promise<void> {
  const sequence = findToChange(context, caller, id);
  const job = await context.queue.cancel(sequence);
  context.onAudit({ outcome: 'cancel', peer: peerOf(res.req), caller, sequence, record: job });
  sendJson(res, 200, encodeJob(job));
}

export async function retryJob(
  context: AppContext,
  caller: Caller,
  id: string,
  res: ServerResponse,
): Promise<void> {
  const sequence = findToChange(context, caller, id);
  const job = await context.queue.retry(sequence);
  context.onAudit({ outcome: 'retry', peer: peerOf(res.req), caller, sequence, record: job });
  sendJson(res, 200, encodeJob(job));
}

/** Whose job it is not learns nothing of it, and who may only look learns no more than by looking. */
function findToChange(context: AppContext, caller: Caller, id: string): number {
  const sequence = parseId(id);
  findJob(context, caller, sequence);
  caller.demandWriting();
  return sequence;
}

/** The job as it stands now; `not_found` when there is none that the caller may see. */
export function findJob({ queue }: AppContext, caller: Caller, sequence: number): Job {
  return demandJob(caller, queue.find(sequence), encodeJobId(sequence));
}

/** The sequence of a job's id; `not_found` when the text is none. */
export function parseId(id: string): number {
  const sequence = decodeJobId(id);
  if (sequence === undefined)
    throw new CodedError('not_found', `There is no job ${JSON.stringify(id.slice(0, 40))}`);
  return sequence;
}

/** A name that no instance or project can have is refused: the journal's keys have a largest length. */
export function nameIn(
  params: URLSearchParams,
  name: string,
  problemOf: (text: string) => string | undefined,
): string | undefined {
  const text = params.get(name) || undefined;
  const problem = text === undefined ? undefined : problemOf(text.slice(0, MAX_NAME_LENGTH));
  if (problem !== undefined) throw bad(`${name}: ${problem}`);
  return text;
}

function parseCount(params: URLSearchParams, name: string, fallback: number, least: number): number {
  const text = params.get(name);
  if (text === null || text === '') return fallback;
  const count = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(count >= least)) throw bad(`${name}: expected a number from ${least} on`);
  return count;
}

function isJobState(text: string): text is JobState {
  return (JOB_STATES as readonly string[]).includes(text);
}

function bad(message: string): CodedError {
  return new CodedError('bad_request', message);
}
