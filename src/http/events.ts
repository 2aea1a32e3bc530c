/** GET /v1/events: Server-Sent Events (WHATWG HTML, section 9.2), one `job` event per change. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Job } from '../protocol/job.ts';
import { encodeJob } from '../protocol/job-wire.ts';
import type { Queue } from '../queue/queue.ts';
import type { AppContext } from './app-context.ts';
import { findBatch, parseBatchId } from './batches.ts';
import type { Caller } from './caller.ts';
import { findJob, parseId } from './jobs.ts';

const HEARTBEAT_MS = 15_000;

type EventsRoute = (caller: Caller, url: URL, req: IncomingMessage, res: ServerResponse) => void;

/**
 * `?job=ID` follows one job and starts with its present state, `?batch=ID` the jobs of a batch. `Last-Event-ID` resumes after that event; when what
 * followed is not kept any more, a `reset` event says that changes were missed, and `?job=ID` starts anew.
 */
export function createEventsRoute(context: AppContext): EventsRoute {
  const { feed } = context.queue;
  const encoder = new EventEncoder(context.queue);

  return (caller, url, req, res) => {
    const id = url.searchParams.get('job') || undefined;
    const only = id === undefined ? undefined : parseId(id);
    if (only !== undefined) findJob(context, caller, only);
    const batch = url.searchParams.get('batch') || undefined;
    const members = batch === undefined ? [] : findBatch(context, caller, parseBatchId(batch));

    res.writeHead(200, {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
    });
    if (req.method === 'HEAD' || context.closing) {
      res.end();
      return;
    }
    let sentNumber = feed.latest;
    let blocked = false;
    res.write(': incus-upload\n\n');
    const last = lastEventId(req);
    const resumed = last !== undefined && catchUp(last);
    if (only !== undefined && !resumed) send(feed.latest, only, true);
    if (!resumed) for (const { sequence } of members) send(feed.latest, sequence, true);

    const stop = feed.watch(({ number, sequence }) => {
      if (!blocked) send(number, sequence);
    });
    const heartbeat = setInterval(() => {
      if (!caller.isStillValid) end();
      else if (!blocked) res.write(': still here\n\n');
    }, HEARTBEAT_MS);
    context.waiting.add(end);
    res.on('close', end);
    // What is written to a connection that has just broken is of no use; `close` follows.
    res.on('error', end);
    res.on('drain', () => {
      blocked = false;
      catchUp(sentNumber);
    });

    /** From here on no change is written: it would find an ended stream. */
    function end(): void {
      context.waiting.delete(end);
      stop();
      clearInterval(heartbeat);
      blocked = true;
      if (!res.writableEnded) res.end();
    }

    /** Sends what came after a change; false when that is not kept any more. */
    function catchUp(number: number): boolean {
      if (res.writableEnded) return true;
      const changes = feed.since(number);
      if (changes === undefined) {
        sentNumber = feed.latest;
        blocked = !res.write(`id: ${sentNumber}\nevent: reset\ndata: {}\n\n`);
        return false;
      }
      sentNumber = number;
      for (const change of changes) {
        if (blocked) break;
        send(change.number, change.sequence);
      }
      return true;
    }

    function send(number: number, sequence: number, fresh = false): void {
      sentNumber = number;
      if (only !== undefined && only !== sequence) return;
      const event = encoder.encode(number, sequence, fresh);
      if (event === undefined || !caller.covers(event.job)) return;
      if (batch !== undefined && event.job.batch !== batch) return;
      if (caller.isStillValid) blocked = !res.write(event.text);
      else end();
    }
  };
}

type JobEvent = { readonly job: Job; readonly text: string };

/** Makes the text of events; the latest is kept, because every watcher is sent the same. */
class EventEncoder {
  readonly #queue: Queue;
  #last = { number: -1, sequence: -1, event: undefined as JobEvent | undefined };

  constructor(queue: Queue) {
    this.#queue = queue;
  }

  /** Undefined when there is nothing to tell: the job is gone. */
  encode(number: number, sequence: number, fresh: boolean): JobEvent | undefined {
    if (!fresh && this.#last.number === number && this.#last.sequence === sequence) return this.#last.event;
    this.#last = { number, sequence, event: this.#encode(number, sequence) };
    return this.#last.event;
  }

  #encode(number: number, sequence: number): JobEvent | undefined {
    try {
      const job = this.#queue.find(sequence);
      if (job === undefined) return undefined;
      return { job, text: `id: ${number}\nevent: job\ndata: ${JSON.stringify(encodeJob(job))}\n\n` };
    } catch {
      // The queue tells changes while it works: a job that cannot be read must not stop it.
      return undefined;
    }
  }
}

function lastEventId(req: IncomingMessage): number | undefined {
  const text = req.headers['last-event-id'];
  return typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : undefined;
}
