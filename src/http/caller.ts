/** Who sent a request, and what that one may do. Found out once per request; every route asks it. */
import { CodedError } from '../errors.ts';
import type { JobDestination } from '../protocol/job.ts';
import {
  coversInstance,
  coversJob,
  coversPath,
  isLimited,
  type Scope,
  type ScopedJob,
  UNLIMITED,
} from '../protocol/scope.ts';
import { ForbiddenError } from './auth-error.ts';

export class Caller {
  /** `token:NAME`, `cert:NAME`, or null where nobody can tell: whoever may open a unix socket. */
  readonly submittedBy: string | null;
  readonly scope: Scope;
  readonly #isStillValid: () => boolean;

  /** `isStillValid` is asked by what outlives the moment of the request. */
  constructor(submittedBy: string | null, scope: Scope, isStillValid: () => boolean = () => true) {
    this.submittedBy = submittedBy;
    this.scope = scope;
    this.#isStillValid = isStillValid;
  }

  /** Whether the job may be seen and touched; one that may not is treated as if there were none. */
  covers(job: ScopedJob): boolean {
    return coversJob(this.scope, job);
  }

  coversInstance(project: string, instance: string): boolean {
    return coversInstance(this.scope, project, instance);
  }

  /** Whether there are jobs that this caller may not see, and sums over all of them neither. */
  get isLimited(): boolean {
    return isLimited(this.scope);
  }

  /** Whether the token has neither been revoked nor expired since the request began. */
  get isStillValid(): boolean {
    return this.#isStillValid();
  }

  /** For sentences. */
  get #name(): string {
    return `The token ${this.submittedBy?.replace(/^token:/, '') ?? ''}`;
  }

  /** Throws `forbidden` for a caller that may only look. */
  demandWriting(): void {
    if (this.scope.readOnly)
      throw new ForbiddenError(`${this.#name} may only read; use one without --read-only`);
  }

  /** The largest file in bytes, or null; `limit` is that of the daemon. */
  maxUploadSizeBytes(limit: number | null): number | null {
    const own = this.scope.maxUploadSizeBytes;
    return own === null || limit === null ? (own ?? limit) : Math.min(own, limit);
  }

  /**
   * Throws `forbidden` for a symbolic link in an archive of a caller that is held to certain paths: what it sends later
   * through a link could get out of them. Links below their own directory cannot.
   */
  checkLink(target: string): void {
    if (this.scope.paths.length === 0) return;
    if (!target.startsWith('/') && !target.split('/').includes('..')) return;
    throw new ForbiddenError(
      `${this.#name} is held to certain paths, so its archives may not hold links that are absolute or lead up: ${JSON.stringify(target)}`,
    );
  }

  /**
   * What an upload asks for, as far as this caller may; throws `forbidden` when it may not. Where only the path itself is
   * allowed the name of the source is dropped: without it the file cannot go into a directory of that path.
   */
  admit<T extends JobDestination & Pick<ScopedJob, 'extract'>>(upload: T): T {
    this.demandWriting();
    const { project, instance, path, extract } = upload;
    if (!this.coversInstance(project, instance)) {
      throw new ForbiddenError(`${this.#name} does not allow files for ${instance} in project ${project}`);
    }
    if (this.covers(upload)) return upload;
    if (!extract && !path.endsWith('/') && coversPath(this.scope, path)) return { ...upload, sourceName: '' };
    throw new ForbiddenError(`${this.#name} does not allow ${path} as the path of a file`);
  }
}

/** Whoever may open a unix socket may do everything. */
export const ANYBODY = new Caller(null, UNLIMITED);

/** Throws `not_found` for a job that there is not, as far as the caller may know. */
export function demandJob<T extends ScopedJob>(caller: Caller, job: T | undefined, id: string): T {
  if (job === undefined || !caller.covers(job)) throw new CodedError('not_found', `There is no job ${id}`);
  return job;
}
