/** One request of one client, with its manners. */
import { createHash } from 'node:crypto';
import { type Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { systemCode } from '../../src/errors.ts';
import { formatDestination } from '../../src/protocol/destination.ts';
import { archivePieces } from './archive.ts';
import type { Content } from './content.ts';
import type { UploadPlan } from './upload-plan.ts';

export type Sent =
  | {
      readonly kind: 'answer';
      readonly status: number;
      /** Code of the problem, or empty. */
      readonly code: string;
      readonly jobId: string | undefined;
      readonly retryAfter: string | undefined;
    }
  | {
      readonly kind: 'broken';
      /** `unreachable`: no byte was sent. `complete`: the whole body was, so it may have been accepted. */
      readonly reached: 'unreachable' | 'partly' | 'complete';
    };

export type SendOptions = {
  readonly socketPath: string;
  readonly agent: Agent;
  readonly content: Content;
  /** Pauses of a slow client. */
  readonly pauseMs: () => number;
  /** Where a client that vanishes or stalls leaves off. */
  readonly stopAfterBytes: number;
  /** Instead of the plan's path, for a key that is used again. */
  readonly otherPath?: string;
};

/** An answer that has not come by then is given up. */
const PATIENCE_MS = 45_000;

export async function sendUpload(plan: UploadPlan, options: SendOptions): Promise<Sent> {
  let complete = plan.sizeBytes === 0 && !plan.chunked;
  let connected = false;
  const req = request({
    socketPath: options.socketPath,
    agent: options.agent,
    method: 'POST',
    path: '/upload',
    headers: headersOf(plan, options),
  });
  const timer = setTimeout(() => req.destroy(new Error('no answer')), PATIENCE_MS);
  const body = new AbortController();
  try {
    return await new Promise<Sent>((resolve, reject) => {
      req.on('socket', (socket) => {
        if (socket.connecting) {
          socket.once('connect', () => {
            connected = true;
          });
        } else connected = true;
      });
      let answered = false;
      req.on('response', (response) => {
        if (plan.manner === 'deaf') return;
        answered = true;
        body.abort();
        readAnswer(response).then(resolve, reject);
      });
      req.on('error', reject);
      req.on('close', () => {
        if (!answered) reject(new Error('closed'));
      });
      const start = (): void => {
        writeBody(req, plan, options, body.signal, () => {
          complete = true;
        }).catch(reject);
      };
      if (plan.expectContinue) {
        req.once('continue', start);
        req.flushHeaders();
      } else start();
    });
  } catch (error) {
    const refusedToConnect = !connected || systemCode(error) === 'ECONNREFUSED';
    return { kind: 'broken', reached: refusedToConnect ? 'unreachable' : complete ? 'complete' : 'partly' };
  } finally {
    clearTimeout(timer);
    body.abort();
    if (!req.writableFinished || plan.manner === 'deaf') req.destroy();
  }
}

function headersOf(
  plan: UploadPlan,
  { content, otherPath }: SendOptions,
): Record<string, string | number | string[]> {
  const headers: Record<string, string | number | string[]> = {
    'X-Container-Name': plan.instance,
    'X-File-Path': otherPath ?? plan.path,
    'X-Incus-Project': plan.place.project,
    'X-File-Mode': plan.mode.toString(8),
    'X-File-Uid': plan.uid,
    'X-File-Gid': plan.number,
    Accept: 'application/json, application/problem+json',
  };
  if (plan.also.length > 0)
    headers['X-Also-To'] = plan.also.map(({ instance, path }) => formatDestination({ instance, path }));
  if (plan.files !== undefined) headers['X-Extract'] = 'tar';
  if (plan.hostPath !== undefined) headers['X-Host-Path'] = plan.hostPath;
  if (!plan.createDirs) headers['X-Create-Dirs'] = 'false';
  if (plan.key !== undefined) headers['Idempotency-Key'] = plan.key;
  if (plan.digest !== 'none') {
    const hash = createHash('sha256');
    for (const piece of piecesOf(plan, content)) hash.update(piece);
    const digest = hash.digest();
    if (plan.digest === 'wrong') digest[0] = (digest[0] ?? 0) ^ 1;
    headers['Repr-Digest'] = `sha-256=:${digest.toString('base64')}:`;
  }
  if (plan.chunked) headers['Transfer-Encoding'] = 'chunked';
  else headers['Content-Length'] = plan.sizeBytes;
  if (plan.expectContinue) headers.Expect = '100-continue';
  return headers;
}

function piecesOf({ files, content: number, sizeBytes }: UploadPlan, content: Content): Generator<Buffer> {
  return files === undefined ? content.pieces(number, sizeBytes) : archivePieces(files, content);
}

/** Tells `onComplete` right before the last byte, or the end of a chunked body, can go out. */
async function writeBody(
  req: ClientRequest,
  plan: UploadPlan,
  options: SendOptions,
  signal: AbortSignal,
  onComplete: () => void,
): Promise<void> {
  const leavesEarly = plan.manner === 'vanish' || plan.manner === 'stall';
  let left = leavesEarly ? options.stopAfterBytes : plan.sizeBytes;
  for (const piece of piecesOf(plan, options.content)) {
    for (const part of plan.manner === 'slow' ? partsOf(piece) : [piece]) {
      if (left === 0 || signal.aborted || req.destroyed) break;
      const bytes = part.subarray(0, Math.min(part.length, left));
      left -= bytes.length;
      if (left === 0 && !leavesEarly && !plan.chunked) onComplete();
      if (!req.write(bytes)) await roomIn(req, signal);
      if (plan.manner === 'slow') await delay(options.pauseMs());
    }
  }
  if (signal.aborted || req.destroyed) return;
  if (plan.manner === 'vanish') {
    await delay(options.pauseMs());
    req.destroy();
    return;
  }
  if (plan.manner === 'stall') return;
  onComplete();
  req.end();
  if (plan.manner !== 'deaf') return;
  await delay(options.pauseMs());
  req.destroy();
}

function partsOf(piece: Buffer): Buffer[] {
  const size = Math.max(1, Math.ceil(piece.length / 3));
  return [0, 1, 2].map((i) => piece.subarray(i * size, (i + 1) * size)).filter((part) => part.length > 0);
}

function roomIn(req: ClientRequest, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      req.off('drain', done);
      req.off('close', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    req.on('drain', done);
    req.on('close', done);
    signal.addEventListener('abort', done);
  });
}

type Told = {
  readonly code?: unknown;
  readonly id?: unknown;
  readonly jobs?: readonly { readonly id: unknown }[];
};

async function readAnswer(response: IncomingMessage): Promise<Sent> {
  const status = response.statusCode ?? 0;
  const { 'x-job-id': header, 'x-batch-id': batch } = response.headers;
  // A batch is called after its first job.
  let jobId = typeof batch === 'string' ? batch.slice(2) : typeof header === 'string' ? header : undefined;
  let code = '';
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk);
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    const told = typeof body === 'object' && body !== null ? (body as Told) : {};
    if (typeof told.code === 'string') code = told.code;
    const id = told.id ?? told.jobs?.[0]?.id;
    if (status === 202 && id !== jobId) jobId = `${jobId} in the header, ${String(id)} in the body`;
  } catch (error) {
    // A 202 holds as soon as its first line is there, whatever becomes of the rest.
    if (status !== 202) throw error;
  }
  return { kind: 'answer', status, code, jobId, retryAfter: response.headers['retry-after'] };
}
