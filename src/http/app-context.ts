import type { CodedError } from '../errors.ts';
import type { Job } from '../protocol/job.ts';
import type { Queue } from '../queue/queue.ts';
import type { Spool } from '../spool/spool.ts';
import type { TokenKeeper } from '../spool/token-keeper.ts';
import type { Caller } from './caller.ts';
import type { HttpStats } from './http-stats.ts';

export type UploadLimits = {
  readonly maxUploadSizeBytes: number | null;
  readonly maxQueuedJobs: number;
  readonly maxUploads: number;
  readonly bodyTimeoutMs: number;
};

/** Something that a caller did to a job, for the audit log. */
export type AuditedRequest = {
  readonly outcome: 'accepted' | 'cancel' | 'retry';
  readonly peer: string;
  readonly caller: Caller;
  readonly sequence: number;
  readonly record: Pick<Job, 'instance' | 'project' | 'path' | 'size' | 'submittedBy'>;
};

type InstanceName = { readonly project: string; readonly instance: string };

/** Asks the target which instances there are in a project, or in all; rejects with a coded error. */
export type Instances = {
  readonly list: (project: string | undefined) => Promise<readonly InstanceName[]>;
  readonly listConfigured: (
    project: string | undefined,
  ) => Promise<readonly (InstanceName & { readonly config: ReadonlyMap<string, string> })[]>;
};

/** What every route needs. */
export type AppContext = {
  readonly spool: Spool;
  readonly queue: Queue;
  readonly instances: Instances;
  readonly stats: HttpStats;
  readonly tokens: TokenKeeper;
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
  readonly onAudit: (about: AuditedRequest) => void;
  /** One line for every request that was refused. */
  readonly onRefused: (about: { peer: string; method: string; url: string; error: CodedError }) => void;
};
