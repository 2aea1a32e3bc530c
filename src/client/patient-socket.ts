import { Socket } from 'node:net';
import { systemCode } from '../errors.ts';

/** How long an answer may take to arrive after the daemon stopped reading, in milliseconds. */
const ANSWER_GRACE_MS = 2000;

/**
 * A socket that goes on reading after the peer stopped listening. A daemon that refuses an upload answers and closes
 * while the body is still on its way; the next write then fails with EPIPE, and a plain socket would be destroyed with
 * the answer unread. Here such a write is left unfinished, so that the answer, or the end of the stream, decides.
 */
export class PatientSocket extends Socket {
  override _write(chunk: unknown, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    super._write(chunk, encoding, (error) => this.#settle(error, done));
  }

  override _writev(
    chunks: { chunk: unknown; encoding: BufferEncoding }[],
    done: (error?: Error | null) => void,
  ): void {
    super._writev?.(chunks, (error) => this.#settle(error, done));
  }

  #settle(error: Error | null | undefined, done: (error?: Error | null) => void): void {
    const code = systemCode(error);
    if ((code !== 'EPIPE' && code !== 'ECONNRESET') || this.destroyed || this.readableEnded) {
      done(error);
      return;
    }
    const timer = setTimeout(() => done(error), ANSWER_GRACE_MS);
    timer.unref();
    // Only `done` ends the write, so destroy() still has to be told.
    this.once('close', () => {
      clearTimeout(timer);
      done(error);
    });
  }
}
