/**
 * A small daemon that behaves like the HTTP part of the contract, for tests of the client: it takes real uploads over a
 * real socket, counts and hashes them, and moves jobs on when the test says so.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { CodedError, ERRORS, type ErrorCode } from '../../src/errors.ts';
import { isFinished, type Job, type JobState } from '../../src/protocol/job.ts';
import { encodeJobId, type JobId, nextSequence } from '../../src/protocol/job-id.ts';
import { encodeJob } from '../../src/protocol/job-wire.ts';
import { encodeProblem } from '../../src/protocol/problem.ts';
import { decodeUploadHeaders, type UploadRequest } from '../../src/protocol/upload-headers.ts';

export type ReceivedUpload = {
  readonly request: UploadRequest;
  readonly headers: IncomingMessage['headers'];
  readonly sizeBytes: number;
  readonly sha256: string;
  /** The archive of an upload that asks for `X-Extract`. */
  readonly archive: Buffer | undefined;
};

export type Refusal = {
  readonly code: ErrorCode;
  readonly detail?: string;
  readonly retryAfter?: string;
  /** Bytes of the body to read before answering; all of it without. */
  readonly afterBytes?: number;
  /** Ends the connection without an answer instead. */
  readonly cut?: boolean;
};

export type FakeDaemon = {
  readonly url: string;
  readonly jobs: Map<string, Job>;
  readonly uploads: ReceivedUpload[];
  /** Every request line seen, such as `GET /v1/info`. */
  readonly requests: string[];
  /** Answers for the next uploads, the first one first. */
  readonly refusals: Refusal[];
  /** Changes a job and wakes whoever waits for it. */
  update(id: string, change: Partial<Job>): void;
  /** Applied to each job right after it was accepted. */
  onAccepted: (job: Job) => Partial<Job> | undefined;
  /** Milliseconds to wait between pieces of a body, to slow an upload down. */
  pieceDelayMs: number;
  /** Whether archives are unpacked, as older daemons do not. */
  extracts: boolean;
  /** What `GET /v1/instances` answers; without it there is no such route. */
  instances: readonly { readonly name: string; readonly project: string }[] | undefined;
  /** The token that requests need, when set. */
  token: string | undefined;
  close(): Promise<void>;
};

/** Listens on a unix socket, or on a free port of the loopback address when no path is given. */
export async function startFakeDaemon(socketPath?: string): Promise<FakeDaemon> {
  const sockets = new Set<Socket>();
  const waiters = new Set<() => void>();
  let sequence = 0;
  const daemon: FakeDaemon = {
    url: '',
    jobs: new Map(),
    uploads: [],
    requests: [],
    refusals: [],
    onAccepted: () => undefined,
    pieceDelayMs: 0,
    extracts: true,
    token: undefined,
    instances: undefined,
    update(id, change) {
      const job = daemon.jobs.get(id);
      if (job === undefined) throw new Error(`no job ${id}`);
      daemon.jobs.set(id, withState({ ...job, ...change, updatedAt: Date.now() }, change.state));
      for (const wake of [...waiters]) wake();
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    daemon.requests.push(`${request.method} ${request.url}`);
    if (daemon.token !== undefined && request.headers.authorization !== `Bearer ${daemon.token}`) {
      throw new CodedError(request.headers.authorization === undefined ? 'unauthorized' : 'forbidden');
    }
    if (url.pathname === '/upload') return await takeUpload(request, response);
    if (url.pathname === '/v1/info') {
      return send(response, 200, {
        version: '9.9.9',
        target: { url: 'dir:/x', reachable: true },
        free_bytes: 2 ** 30,
      });
    }
    if (url.pathname === '/v1/instances' && daemon.instances !== undefined) {
      const project = url.searchParams.get('project') ?? undefined;
      const wanted = daemon.instances.filter((one) => project === undefined || one.project === project);
      return send(response, 200, { instances: wanted });
    }
    if (url.pathname === '/v1/jobs') return listJobs(url, response);
    if (url.pathname === '/v1/events') return streamEvents(url, request, response);
    const match = /^\/v1\/jobs\/([^/]+)(?:\/(cancel|retry))?$/.exec(url.pathname);
    const id = match?.[1] ?? '';
    const job = daemon.jobs.get(id);
    if (job === undefined) throw new CodedError('not_found', `There is no job ${id}.`);
    if (match?.[2] !== undefined) {
      const cancel = match[2] === 'cancel';
      if (cancel === isFinished(job.state)) {
        throw new CodedError('conflict', `Cannot ${match[2]}: the job is ${job.state}.`);
      }
      daemon.update(id, { state: cancel ? 'cancelled' : 'queued' });
    } else {
      await waitFor(id, Number(url.searchParams.get('wait') ?? 0) * 1000);
    }
    send(response, 200, encodeJob(daemon.jobs.get(id) as Job));
  };

  const takeUpload = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const refusal = daemon.refusals.shift();
    const upload = decodeUploadHeaders(request.rawHeaders);
    const hash = createHash('sha256');
    const archive: Buffer[] | undefined = request.headers['x-extract'] === 'tar' ? [] : undefined;
    let sizeBytes = 0;
    if (refusal === undefined || refusal.afterBytes !== 0) {
      for await (const piece of request.iterator({ destroyOnReturn: false })) {
        hash.update(piece as Buffer);
        archive?.push(piece as Buffer);
        sizeBytes += (piece as Buffer).length;
        if (daemon.pieceDelayMs > 0) await new Promise((resolve) => setTimeout(resolve, daemon.pieceDelayMs));
        if (refusal?.afterBytes !== undefined && sizeBytes >= refusal.afterBytes) break;
      }
    }
    if (refusal?.cut === true) {
      request.destroy();
      return;
    }
    if (refusal !== undefined) {
      if (refusal.retryAfter !== undefined) response.setHeader('Retry-After', refusal.retryAfter);
      if (refusal.afterBytes !== undefined) {
        response.setHeader('Connection', 'close');
        // The rest of the body is not read: whoever sends it gets EPIPE.
        response.once('finish', () => request.socket.destroySoon());
      }
      throw new CodedError(refusal.code, refusal.detail ?? ERRORS[refusal.code].sentence);
    }
    const sha256 = hash.digest('hex');
    if (upload.sha256 !== null && upload.sha256 !== sha256) throw new CodedError('digest_mismatch');
    daemon.uploads.push({
      request: upload,
      headers: request.headers,
      sizeBytes,
      sha256,
      archive: archive && Buffer.concat(archive),
    });
    sequence = nextSequence(sequence, Date.now());
    const id = encodeJobId(sequence);
    const extract = archive !== undefined && daemon.extracts ? 'tar' : null;
    daemon.jobs.set(id, { ...newJob(id, upload, sizeBytes, [...daemon.jobs.values()]), extract });
    response.setHeader('Location', `/v1/jobs/${id}`);
    response.setHeader('X-Job-Id', id);
    send(response, 202, encodeJob(daemon.jobs.get(id) as Job));
    const change = daemon.onAccepted(daemon.jobs.get(id) as Job);
    if (change !== undefined) daemon.update(id, change);
  };

  const listJobs = (url: URL, response: ServerResponse): void => {
    const query = url.searchParams;
    const limit = Number(query.get('limit') ?? 100);
    const after = query.get('after');
    const found = [...daemon.jobs.values()]
      .filter((job) => (query.get('state') ?? job.state) === job.state)
      .filter((job) => (query.get('instance') ?? job.instance) === job.instance)
      .filter((job) => (query.get('project') ?? job.project) === job.project)
      .filter((job) => after === null || job.id < after)
      .sort((a, b) => (a.id < b.id ? 1 : -1));
    const page = found.slice(0, limit);
    const next = found.length > limit ? (page.at(-1)?.id ?? null) : null;
    send(response, 200, { jobs: page.map(encodeJob), next });
  };

  const streamEvents = (url: URL, request: IncomingMessage, response: ServerResponse): void => {
    const only = url.searchParams.get('job');
    let last = Number(request.headers['last-event-id'] ?? 0);
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write(': hello\n\n');
    const told = new Map<string, number>();
    const tell = (): void => {
      for (const job of daemon.jobs.values()) {
        if ((only !== null && job.id !== only) || told.get(job.id) === job.updatedAt) continue;
        told.set(job.id, job.updatedAt);
        last += 1;
        response.write(`id: ${last}\nevent: job\ndata: ${JSON.stringify(encodeJob(job))}\n\n`);
      }
    };
    tell();
    waiters.add(tell);
    response.once('close', () => waiters.delete(tell));
  };

  const waitFor = (id: string, forMs: number): Promise<void> =>
    new Promise((resolve) => {
      const finished = (): boolean => isFinished(daemon.jobs.get(id)?.state ?? 'failed');
      if (forMs <= 0 || finished()) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        waiters.delete(wake);
        resolve();
      };
      const wake = (): void => {
        if (finished()) done();
      };
      const timer = setTimeout(done, forMs);
      waiters.add(wake);
    });

  const server: Server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (!(error instanceof CodedError)) {
        // The sender went away in the middle of its body.
        request.destroy();
        return;
      }
      send(response, ERRORS[error.code].http, encodeProblem(error), 'application/problem+json');
    });
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  if (socketPath === undefined) server.listen(0, '127.0.0.1');
  else server.listen(socketPath);
  await once(server, 'listening');
  const url =
    socketPath === undefined
      ? `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      : `unix:${socketPath}`;
  return Object.assign(daemon, { url });
}

function send(response: ServerResponse, status: number, json: unknown, type = 'application/json'): void {
  response.writeHead(status, { 'Content-Type': type });
  response.end(`${JSON.stringify(json)}\n`);
}

function newJob(id: JobId, request: UploadRequest, size: number, others: readonly Job[]): Job {
  const now = Date.now();
  const { idempotencyKey: _, batch: _b, ...destination } = request;
  return {
    ...destination,
    id,
    state: 'queued',
    deliveredPath: null,
    size,
    createdAt: now,
    updatedAt: now,
    finishedAt: null,
    attempts: 0,
    maxAttempts: 10,
    nextAttemptAt: null,
    bytesDelivered: 0,
    ahead: others.filter((job) => job.instance === request.instance && !isFinished(job.state)).length,
    error: null,
    submittedBy: null,
    history: [],
  };
}

/** What a change of state brings with it. */
function withState(job: Job, state: JobState | undefined): Job {
  if (state === 'queued') return { ...job, finishedAt: null, error: null, ahead: 0 };
  if (state === undefined || !isFinished(state)) return job;
  const path = job.path.endsWith('/') ? job.path + job.sourceName : job.path;
  const delivered = state === 'delivered' ? { deliveredPath: path, bytesDelivered: job.size } : {};
  return { ...job, ...delivered, finishedAt: Date.now(), ahead: null };
}
