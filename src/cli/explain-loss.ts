/** Why a job came to nothing, and what to do about it. */
import { nearestNames } from '../base/nearest-name.ts';
import type { Connection } from '../client/connection.ts';
import { type KnownInstance, listInstances } from '../client/instances.ts';
import { CodedError, ERRORS } from '../errors.ts';
import type { Job } from '../protocol/job.ts';
import { advise } from './advice.ts';

/** Names that are listed when none of them is near. */
const FEW_NAMES = 5;
const ASKING_MS = 3000;

type Lost = Pick<Job, 'id' | 'state' | 'error' | 'instance' | 'project' | 'attempts'>;

/** Asks the daemon for names where one was mistyped; what it does not tell is left out. */
export async function explainLoss(
  connection: Connection,
  job: Lost,
  signal: AbortSignal,
): Promise<CodedError> {
  if (job.state === 'cancelled')
    return new CodedError('cancelled', 'The job was cancelled; push the file again if it is still wanted');
  const { code, message } = job.error ?? { code: 'internal', message: 'no reason given' };
  const limit = AbortSignal.any([signal, AbortSignal.timeout(ASKING_MS)]);
  const knownInstances = (of: string | undefined): Promise<KnownInstance[]> =>
    listInstances(connection, of, limit).catch(() => []);
  const { instance, project, id, attempts } = job;
  if (code === 'instance_not_found') {
    const known = await knownInstances(project);
    const names = known.filter((one) => (one.project ?? project) === project).map(({ name }) => name);
    const hint = hintOf(instance, names) ?? 'check its name and project';
    return new CodedError(code, `There is no instance ${instance} in project ${project}; ${hint}`);
  }
  if (code === 'project_not_found') {
    const known = await knownInstances(undefined);
    const names = [...new Set(known.flatMap((one) => one.project ?? []))];
    return new CodedError(
      code,
      `There is no project ${project}; ${hintOf(project, names) ?? 'check its name'}`,
    );
  }
  if (code === 'parent_missing' && message.endsWith('not a directory'))
    return new CodedError(code, `${message}; a part of the path is a file there, choose another path`);
  const text = advise(code, message);
  if (!ERRORS[code].retryable) return new CodedError(code, text);
  // Nothing is tried again any more, whatever the sentence for a single attempt says.
  const what = text.replace(/; it is tried again$/, '');
  const count = attempts > 1 ? ` (${attempts} attempts)` : '';
  return new CodedError(
    code,
    `${what}${count}${what.includes('; ') ? ', then' : '; once that is mended'}: incus-upload retry ${id}`,
  );
}

function hintOf(wanted: string, names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined;
  const near = nearestNames(wanted, names);
  if (near.length > 0) return `did you mean ${listed(near, 'or')}?`;
  return names.length <= FEW_NAMES ? `there is ${listed([...names].sort(), 'and')}` : undefined;
}

function listed(names: readonly string[], word: 'and' | 'or'): string {
  return names.length === 1 ? `${names[0]}` : `${names.slice(0, -1).join(', ')} ${word} ${names.at(-1)}`;
}
