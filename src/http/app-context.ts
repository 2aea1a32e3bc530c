import type { CodedError } from '../errors.ts';
import type { Queue } from '../queue/queue.ts';
import type { Spool } from '../spool/spool.ts';
import type { HttpStats } from './http-stats.ts';

export type UploadLimits = {
  readonly maxUploadSizeBytes: number | null;
  readonly maxQueuedJobs: number;
  readonly maxUploads: number;
  readonly bodyTimeoutMs: number;
};

/** What every route needs. */
export type AppContext = {
  readonly spool: Spool;
  readonly queue: Queue;
  readonly stats: HttpStats;
  readonly version: string;
  /** For people, as the target describes itself. */
  readonly target: string;
  readonly startedAtMs: number;
  readonly nowMs: () => number;
  /** May change when the configuration is read again. */
  limits: UploadLimits;
  /** Set once the daemon is stopping: no answer leaves its connection open. */
  closing: boolean;
  /** Set while the daemon is stopping: new uploads are sent away. */
  draining: boolean;
  /** How to end the requests that only wait: event streams and `?wait=`. */
  readonly waiting: Set<() => void>;
  /** One line for every request that was refused. */
  readonly onRefused: (about: { peer: string; method: string; url: string; error: CodedError }) => void;
};
