import { backOffDelayMs } from '../base/back-off.ts';
import { CodedError } from '../errors.ts';
import type { Job } from '../protocol/job.ts';
import { decodeJob } from '../protocol/job-wire.ts';
import type { Connection } from './connection.ts';
import { pause } from './retry.ts';
import { createSseParser } from './sse-parser.ts';

const BACK_OFF = { minDelayMs: 250, maxDelayMs: 5000 };

export type JobEvent =
  | { readonly type: 'job'; readonly job: Job }
  /** The connection stands, for the first time or again: what is asked for from now on misses no change. */
  | { readonly type: 'open' }
  /** Changes were missed: what is known of jobs has to be asked for anew. */
  | { readonly type: 'reset' };

/**
 * Changes of jobs as they happen, of one job when `jobId` is given. When the connection breaks it is opened again with
 * `Last-Event-ID`, so that nothing is missed, or a `reset` says that something was. Ends only by an error that trying
 * again does not mend, or by the signal, whose reason it throws.
 */
export async function* watchEvents(
  connection: Connection,
  { jobId, signal }: { readonly jobId?: string; readonly signal?: AbortSignal } = {},
): AsyncGenerator<JobEvent> {
  const path = jobId === undefined ? '/v1/events' : `/v1/events?job=${encodeURIComponent(jobId)}`;
  let lastEventId: string | undefined;
  for (let failures = 0; ; ) {
    const parser = createSseParser();
    try {
      const answer = await connection.request({
        method: 'GET',
        path,
        headers: {
          accept: 'text/event-stream',
          ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
        },
        signal,
        endless: true,
      });
      answer.body.setEncoding('utf8');
      yield { type: 'open' };
      for await (const text of answer.body) {
        failures = 0;
        for (const event of parser.push(text as string)) {
          if (event.id !== undefined) lastEventId = event.id;
          if (event.type === 'job') yield { type: 'job', job: decodeJob(JSON.parse(event.data)) };
          else if (event.type === 'reset') yield { type: 'reset' };
        }
      }
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason;
      if (error instanceof CodedError && error.code !== 'daemon_unreachable') throw error;
    }
    failures += 1;
    await pause(backOffDelayMs(failures, BACK_OFF, Math.random), signal);
  }
}
