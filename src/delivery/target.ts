/**
 * A target delivers files into instances. It knows no queue and no journal: it is handed bytes and a destination, and
 * answers with an outcome. What it promises for each delivery:
 *
 * - the bytes are written under a temporary name in the destination's own directory, checked (every status, the
 *   size), given owner and mode, and only then renamed: a reader sees the old file or the new one, never a part;
 * - `onTemporary` has resolved before a temporary file is made, so that whoever is told can have it removed even when
 *   this process dies; an attempt that fails while the instance still answers removes it itself;
 * - of an archive all that holds for each of its files by itself; its directories get owner and mode at the end;
 * - `deliver` and `unpack` never reject, and end within their deadlines whatever the other side does.
 */
import type { JobDestination, JobError } from '../protocol/job.ts';
import type { PayloadSource } from './payload-source.ts';

export type Delivery = JobDestination & {
  readonly payload: PayloadSource;
  /** A file name, unique to this attempt: no earlier attempt of any job ever used it. */
  readonly temporaryName: string;
  /** Told the temporary file's absolute path in the instance before the file is made; it waits for the answer. */
  readonly onTemporary: (path: string) => Promise<void>;
  /** Told the number of bytes that the instance has confirmed so far. */
  readonly onProgress: (bytes: number) => void;
  /** Just before the rename; for tracing. */
  readonly onRename?: () => void;
  /** An attempt without progress for that long ends as `timed_out`. */
  readonly timeoutMs: number;
  /** Ends the attempt early; its outcome is then transient and the temporary file is removed. */
  readonly signal: AbortSignal;
};

/**
 * A tar archive that is unpacked into the directory `path`, with or without a final `/`. Each file and link is made
 * under a name of its own in a staging directory, which `onTemporary` is told of as of a temporary file, and renamed.
 */
export type TreeDelivery = Omit<Delivery, 'sourceName' | 'mode'> & {
  /** Whether a later delivery has written that file, which then stays as it is; asked before each rename. */
  readonly isOvertaken: (path: string) => boolean;
  /** Told each file and link that is done with: put into its place, or left as it is since it is overtaken. */
  readonly onFile: (path: string, placed: boolean) => void;
};

/** How far a failure reaches: this job, every job of the instance, or the whole target (Incus is away). */
export type FailureScope = 'job' | 'instance' | 'target';

export type Outcome =
  | { readonly kind: 'delivered'; readonly path: string }
  | {
      readonly kind: 'transient';
      readonly error: JobError;
      readonly scope: FailureScope;
      /** A full disk does not empty in seconds: such failures wait at least `slowRetryMs`. */
      readonly slow: boolean;
      /** Whether the temporary file may still be there, because the instance stopped answering. */
      readonly temporaryLeft: boolean;
    }
  | { readonly kind: 'permanent'; readonly error: JobError; readonly temporaryLeft: boolean };

export type Reachability =
  | { readonly reachable: true }
  | { readonly reachable: false; readonly reason: string };

/** An instance became deliverable again, or the target as a whole may have gone away or come back: ask it. */
export type TargetEvent =
  | { readonly kind: 'instance'; readonly project: string; readonly instance: string }
  | { readonly kind: 'target' };

export type InstanceName = { readonly project: string; readonly instance: string };

/** With what its profiles say. */
export type ConfiguredInstance = InstanceName & { readonly config: ReadonlyMap<string, string> };

export type Target = {
  /** For people: `incus (unix:/run/incus/unix.socket)`, `dir:/srv/instances`. */
  readonly description: string;
  deliver(delivery: Delivery): Promise<Outcome>;
  /** Unpacks an archive. To do so again after a failure or a crash does no harm. */
  unpack(delivery: TreeDelivery): Promise<Outcome>;
  /** Removes a file or a staging directory that an earlier attempt left, if it is there. Resolves to false when that could not be told. */
  removeTemporary(project: string, instance: string, path: string): Promise<boolean>;
  /** Asks whether the target answers at all. Never rejects, takes at most `timeoutMs`. */
  probe(timeoutMs: number): Promise<Reachability>;
  /** The instances of a project, or of every project. Rejects with a coded error when the target does not tell. */
  instances(project: string | undefined): Promise<readonly InstanceName[]>;
  /** The same with the configuration of each; `bad_request` where instances have none. */
  configuredInstances(project: string | undefined): Promise<readonly ConfiguredInstance[]>;
  /** Calls `listener` when that changed, or may have; returns how to stop. A target may know no events. */
  watch(listener: (event: TargetEvent) => void): () => void;
  /** Lets go of idle connections and ends those in use. */
  close(): Promise<void>;
};
