import { CodedError } from '../errors.ts';
import type { Job, JobState } from '../protocol/job.ts';
import { decodeJob } from '../protocol/job-wire.ts';
import type { ApiAnswer, Connection } from './connection.ts';

type Cancellable = { readonly signal?: AbortSignal | undefined };

/** One job. With `waitSeconds` the daemon answers as soon as the job is finished, or after that many seconds. */
export async function getJob(
  connection: Connection,
  id: string,
  { waitSeconds, signal }: Cancellable & { readonly waitSeconds?: number } = {},
): Promise<Job> {
  const query = waitSeconds === undefined ? '' : `?wait=${waitSeconds}`;
  const path = `/v1/jobs/${encodeURIComponent(id)}${query}`;
  return readJob(await connection.request({ method: 'GET', path, signal }));
}

export async function cancelJob(connection: Connection, id: string, options: Cancellable = {}): Promise<Job> {
  const path = `/v1/jobs/${encodeURIComponent(id)}/cancel`;
  return readJob(await connection.request({ method: 'POST', path, signal: options.signal }));
}

export async function retryJob(connection: Connection, id: string, options: Cancellable = {}): Promise<Job> {
  const path = `/v1/jobs/${encodeURIComponent(id)}/retry`;
  return readJob(await connection.request({ method: 'POST', path, signal: options.signal }));
}

export type Batch = {
  readonly batch: string;
  /** In the order of their destinations. */
  readonly jobs: readonly Job[];
  /** What the daemon sent. */
  readonly json: unknown;
};

/** The jobs of a batch, as far as there still are any. */
export async function getBatch(
  connection: Connection,
  id: string,
  { signal }: Cancellable = {},
): Promise<Batch> {
  const path = `/v1/batches/${encodeURIComponent(id)}`;
  const json = await readJson(await connection.request({ method: 'GET', path, signal }));
  return { batch: id, jobs: decodeBatchJobs(json), json };
}

/** The jobs in what the daemon says of a batch. */
export function decodeBatchJobs(json: unknown): Job[] {
  if (typeof json === 'object' && json !== null && 'jobs' in json && Array.isArray(json.jobs))
    return json.jobs.map(decodeAnswer);
  throw notOurs('no batch');
}

export type JobQuery = {
  readonly state?: JobState | undefined;
  readonly instance?: string | undefined;
  readonly project?: string | undefined;
  readonly batch?: string | undefined;
  /** At most so many jobs in all; without it every one. */
  readonly limit?: number | undefined;
};

const PAGE_SIZE = 500;

/** Jobs, newest first, asked for page by page as they are taken. */
export async function* listJobs(
  connection: Connection,
  query: JobQuery,
  { signal }: Cancellable = {},
): AsyncGenerator<Job> {
  let left = query.limit ?? Number.POSITIVE_INFINITY;
  let after: string | null = null;
  while (left > 0) {
    const parameters = new URLSearchParams();
    for (const name of ['state', 'instance', 'project', 'batch'] as const) {
      const value = query[name];
      if (value !== undefined) parameters.set(name, value);
    }
    parameters.set('limit', String(Math.min(left, PAGE_SIZE)));
    if (after !== null) parameters.set('after', after);
    const answer = await connection.request({ method: 'GET', path: `/v1/jobs?${parameters}`, signal });
    const page = decodePage(await readJson(answer));
    for (const job of page.jobs) {
      if (left <= 0) return;
      left -= 1;
      yield job;
    }
    if (page.next === null) return;
    after = page.next;
  }
}

function decodePage(json: unknown): { jobs: Job[]; next: string | null } {
  if (typeof json === 'object' && json !== null && 'jobs' in json && Array.isArray(json.jobs)) {
    const next = 'next' in json && typeof json.next === 'string' ? json.next : null;
    return { jobs: json.jobs.map(decodeAnswer), next };
  }
  throw notOurs('no list of jobs');
}

async function readJob(answer: ApiAnswer): Promise<Job> {
  return decodeAnswer(await readJson(answer));
}

function decodeAnswer(json: unknown): Job {
  try {
    return decodeJob(json);
  } catch (error) {
    throw notOurs('no job', error);
  }
}

async function readJson(answer: ApiAnswer): Promise<unknown> {
  try {
    return await answer.body.json();
  } catch (error) {
    throw notOurs('no JSON', error);
  }
}

function notOurs(what: string, cause?: unknown): CodedError {
  return new CodedError('internal', `The daemon's answer holds ${what}; check --url and both versions`, {
    cause,
  });
}
