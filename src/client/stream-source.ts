import type { Readable } from 'node:stream';
import { CodedError, messageOf } from '../errors.ts';
import type { Source } from './source.ts';

/** A stream that can be read once, such as standard input. It is sent chunked, as long as it goes. */
export function createStreamSource(name: string, stream: Readable): Source {
  let started = false;
  return {
    name,
    sizeBytes: undefined,
    get rewindable() {
      return !started;
    },
    body: async () => pieces(),
    close: async () => {
      stream.destroy();
    },
  };

  async function* pieces(): AsyncGenerator<Buffer> {
    started = true;
    try {
      for await (const piece of stream) yield piece as Buffer;
    } catch (error) {
      throw new CodedError('source_unreadable', `Cannot read ${name}: ${messageOf(error)}`, { cause: error });
    }
  }
}
