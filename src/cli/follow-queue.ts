import type { Connection } from '../client/connection.ts';
import { watchEvents } from '../client/events.ts';
import { type DaemonInfo, getInfo } from '../client/info.ts';
import { type JobQuery, listJobs } from '../client/jobs.ts';
import { pause } from '../client/retry.ts';
import { CodedError, ERRORS } from '../errors.ts';
import type { Job, JobState } from '../protocol/job.ts';
import type { WatchedJobs } from './watched-jobs.ts';

const POLL_MS = 1000;
/** Of each state; those that wait behind so many are of little interest. */
const LISTED = 500;

export type QueueNews = {
  readonly signal: AbortSignal;
  readonly onJobs: () => void;
  readonly onInfo: (info: DaemonInfo) => void;
  /** Why the daemon does not answer at present; undefined when it does again. */
  readonly onTrouble: (trouble: CodedError | undefined) => void;
};

/** All that a screen shows first. Rejects when the daemon cannot be asked. */
export async function loadQueue(
  connection: Connection,
  query: JobQuery,
  jobs: WatchedJobs,
  signal: AbortSignal,
): Promise<void> {
  const askedAtMs = Date.now();
  const { instance, project, limit } = query;
  const listed: Job[] = [];
  const list = async (state: JobState | undefined, most: number | undefined): Promise<void> => {
    const wanted = { instance, project, state, limit: most };
    for await (const job of listJobs(connection, wanted, { signal })) listed.push(job);
  };
  const unfinished = (['delivering', 'deferred', 'queued'] as const).map((state) => list(state, LISTED));
  await Promise.all([...unfinished, list(query.state, limit)]);
  jobs.replace(listed, askedAtMs, Date.now());
}

/**
 * Keeps `jobs` as the daemon's are, by its events; only what those do not tell, the bytes of deliveries under way and
 * what the daemon says of itself, is asked for once a second. Ends by the signal, or by what trying again does not mend.
 */
export async function followQueue(
  connection: Connection,
  query: JobQuery,
  jobs: WatchedJobs,
  news: QueueNews,
): Promise<void> {
  const { signal } = news;
  const followEvents = async (): Promise<void> => {
    for await (const event of watchEvents(connection, { signal })) {
      if (event.type === 'job') jobs.update(event.job, Date.now());
      else await tolerate(() => loadQueue(connection, query, jobs, signal));
      news.onJobs();
    }
  };
  const poll = async (): Promise<void> => {
    for (;;) {
      const trouble = await tolerate(async () => {
        news.onInfo(await getInfo(connection, signal));
        if (!jobs.hasAny('delivering')) return;
        const { instance, project } = query;
        const wanted = { instance, project, state: 'delivering', limit: LISTED } as const;
        for await (const job of listJobs(connection, wanted, { signal })) jobs.update(job, Date.now());
      });
      news.onTrouble(trouble);
      await pause(POLL_MS, signal);
    }
  };
  await Promise.race([followEvents(), poll()]);
}

/** What may be mended by itself, such as a daemon that starts again, is returned. */
async function tolerate(ask: () => Promise<void>): Promise<CodedError | undefined> {
  try {
    await ask();
    return undefined;
  } catch (error) {
    if (error instanceof CodedError && error.code !== 'interrupted' && ERRORS[error.code].retryable)
      return error;
    throw error;
  }
}
