import { CodedError } from '../errors.ts';
import { encodeBatchHeaders, encodeUploadHeaders, type UploadRequest } from '../protocol/upload-headers.ts';
import { headerOf } from './answer.ts';
import type { Connection } from './connection.ts';
import type { Source } from './source.ts';

const LEAST_PART_BYTES = 16 * 1024;
const MOST_PART_BYTES = 1024 * 1024;
const QUICK_MS = 50;
const SLOW_MS = 500;

export type UploadOptions = {
  /** Called with the bytes handed to the socket so far. */
  readonly onProgress?: (bytesSent: number) => void;
  readonly signal?: AbortSignal | undefined;
};

export type Accepted = {
  /** Of the job, or of the batch that it became. */
  readonly id: string;
  /** The job as the daemon wrote it, JSON with a line end or not; of a batch its id and its jobs. */
  readonly jobText: string;
};

/**
 * Sends one source, once, and resolves when the daemon has it on stable storage. Rejects with the daemon's refusal,
 * which counts also when it comes while the body is on its way, or with what broke the transport.
 */
export async function upload(
  connection: Connection,
  source: Source,
  request: UploadRequest,
  { onProgress, signal }: UploadOptions = {},
): Promise<Accepted> {
  const headers: Record<string, string | string[]> = encodeUploadHeaders(request);
  if (request.batch !== undefined) Object.assign(headers, encodeBatchHeaders(request.batch));
  headers['Content-Type'] = 'application/octet-stream';
  if (source.sizeBytes !== undefined) headers['Content-Length'] = String(source.sizeBytes);
  const body = await source.body();
  const answer = await connection.request({
    method: 'POST',
    path: '/upload',
    headers,
    body: Buffer.isBuffer(body) || onProgress === undefined ? body : watched(body, onProgress),
    signal,
  });
  const jobText = await answer.body.text();
  if (Buffer.isBuffer(body)) onProgress?.(body.length);
  const id = headerOf(answer.headers, 'x-batch-id') ?? headerOf(answer.headers, 'x-job-id');
  if (answer.status !== 202 || id === undefined) {
    throw new CodedError('internal', `Not an answer to an upload (status ${answer.status}); check --url`);
  }
  return { id, jobText };
}

/**
 * Tells of each part that the socket took. Parts are as large as pieces where these go quickly, and small on a slow way,
 * so that there is something to tell about twice a second.
 */
async function* watched(
  body: AsyncIterable<Buffer>,
  onProgress: (bytesSent: number) => void,
): AsyncGenerator<Buffer> {
  let bytesSent = 0;
  let partBytes = LEAST_PART_BYTES;
  for await (const piece of body) {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + partBytes);
      const beganMs = Date.now();
      yield part;
      const tookMs = Date.now() - beganMs;
      at += part.length;
      bytesSent += part.length;
      onProgress(bytesSent);
      if (tookMs < QUICK_MS) partBytes = Math.min(2 * partBytes, MOST_PART_BYTES);
      else if (tookMs > SLOW_MS) partBytes = Math.max(partBytes / 2, LEAST_PART_BYTES);
    }
  }
}
