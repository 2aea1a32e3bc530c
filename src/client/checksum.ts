import { createHash } from 'node:crypto';
import { CodedError } from '../errors.ts';
import type { Source } from './source.ts';

/** The hex SHA-256 of a source, which is read for it once more than it is sent; `usage` when that is impossible. */
export async function sha256OfSource(source: Source, signal?: AbortSignal): Promise<string> {
  if (source.sizeBytes === undefined) {
    throw new CodedError(
      'usage',
      `--checksum needs a file: ${source.name} can be read only once; store it first`,
    );
  }
  const hash = createHash('sha256');
  const body = await source.body();
  if (Buffer.isBuffer(body)) return hash.update(body).digest('hex');
  for await (const piece of body) {
    signal?.throwIfAborted();
    hash.update(piece);
  }
  return hash.digest('hex');
}
