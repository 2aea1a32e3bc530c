import { CodedError } from '../errors.ts';
import { encodeUploadHeaders, type UploadRequest } from '../protocol/upload-headers.ts';
import { headerOf } from './answer.ts';
import type { Connection } from './connection.ts';
import type { Source } from './source.ts';

export type UploadOptions = {
  /** Called with the bytes handed to the socket so far. */
  readonly onProgress?: (bytesSent: number) => void;
  readonly signal?: AbortSignal | undefined;
};

export type Accepted = {
  readonly id: string;
  /** The job as the daemon wrote it, JSON with a line end or not. */
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
  const headers = encodeUploadHeaders(request);
  headers['Content-Type'] = 'application/octet-stream';
  if (source.extract !== undefined) headers['X-Extract'] = source.extract;
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
  const id = headerOf(answer.headers, 'x-job-id');
  if (answer.status !== 202 || id === undefined) {
    throw new CodedError('internal', `Not an answer to an upload (status ${answer.status}); check --url`);
  }
  return { id, jobText };
}

async function* watched(
  body: AsyncIterable<Buffer>,
  onProgress: (bytesSent: number) => void,
): AsyncGenerator<Buffer> {
  let bytesSent = 0;
  for await (const piece of body) {
    yield piece;
    bytesSent += piece.length;
    onProgress(bytesSent);
  }
}
