/** What somebody may send, see and touch. Pure: the same scope always gives the same answer. */
import { matchesGlob } from '../base/glob.ts';
import type { Job, JobDestination } from './job.ts';

export type Scope = {
  /** Names of projects; empty: all. */
  readonly projects: readonly string[];
  /** Patterns of instance names; empty: all. */
  readonly instances: readonly string[];
  /** Patterns of absolute paths; empty: all. */
  readonly paths: readonly string[];
  readonly maxUploadSizeBytes: number | null;
  readonly readOnly: boolean;
};

/** Everything. */
export const UNLIMITED: Scope = {
  projects: [],
  instances: [],
  paths: [],
  maxUploadSizeBytes: null,
  readOnly: false,
};

/** What a scope judges of a job, whether it is only asked for or exists. */
export type ScopedJob = Pick<JobDestination, 'project' | 'instance' | 'path' | 'sourceName'> &
  Pick<Job, 'extract'> & { readonly deliveredPath?: string | null };

/** Whether there are jobs outside of the scope. */
export function isLimited({ projects, instances, paths }: Scope): boolean {
  return projects.length > 0 || instances.length > 0 || paths.length > 0;
}

export function coversInstance(scope: Scope, project: string, instance: string): boolean {
  return (
    (scope.projects.length === 0 || scope.projects.includes(project)) &&
    (scope.instances.length === 0 || scope.instances.some((pattern) => matchesGlob(pattern, instance)))
  );
}

/** Whether the scope covers every file that the job may become. */
export function coversJob(scope: Scope, job: ScopedJob): boolean {
  if (!coversInstance(scope, job.project, job.instance)) return false;
  if (job.extract) return coversTree(scope, job.path);
  return scope.paths.length === 0 || filesOf(job).every((file) => coversPath(scope, file));
}

/** An archive may hold files of any names: some pattern has to cover whatever lies below its directory. */
function coversTree({ paths }: Scope, path: string): boolean {
  const directory = path.endsWith('/') ? path : `${path}/`;
  return (
    paths.length === 0 || paths.some((pattern) => pattern.endsWith('**') && matchesGlob(pattern, directory))
  );
}

/** `path` is cleaned and names a file. */
export function coversPath({ paths }: Scope, path: string): boolean {
  return paths.length === 0 || paths.some((pattern) => matchesGlob(pattern, path));
}

/** A path without a final `/` may turn out to be a directory, which the file then goes into. */
function filesOf({ path, sourceName, deliveredPath }: ScopedJob): readonly string[] {
  if (deliveredPath !== undefined && deliveredPath !== null) return [deliveredPath];
  if (path.endsWith('/')) return [path + sourceName];
  return sourceName === '' ? [path] : [path, `${path}/${sourceName}`];
}
