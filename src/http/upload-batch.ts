/**
 * Uploads with several destinations: from what the sender asked for to the instances that there are just then. Whoever may
 * not write to an instance does not match it by a pattern, and is refused when he names it.
 */
import { createHash } from 'node:crypto';
import { CodedError } from '../errors.ts';
import {
  type BatchRequest,
  formatConfigFilter,
  isPattern,
  matchesName,
} from '../protocol/destination-pattern.ts';
import type { UploadRequest } from '../protocol/upload-headers.ts';
import type { Draft } from '../spool/spool.ts';
import type { AppContext, Instances } from './app-context.ts';
import type { Caller } from './caller.ts';
import { draftOf, hashKey } from './upload-draft.ts';

/** Jobs that may come of one upload: they are accepted in one commit. */
const MOST_JOBS = 10_000;
const RETRY_AFTER_SECONDS = 5;

export type BatchUpload = UploadRequest & { readonly batch: BatchRequest };

export function isBatchUpload(request: UploadRequest): request is BatchUpload {
  return request.batch !== undefined;
}

/** The draft before anything is known of the instances: enough to find what was accepted under its key. */
export function unresolvedDraft(request: BatchUpload, caller: Caller): Draft {
  const { batch: _, idempotencyKey: _key, ...rest } = request;
  const { submittedBy } = caller;
  return {
    ...rest,
    submittedBy,
    idempotencyKey: hashKey(request, submittedBy),
    batch: { destinations: [], request: digestOf(request) },
  };
}

/**
 * The draft with a destination for each instance that is meant. Rejects with `no_instance_matches` for a pattern that
 * matches nothing, `forbidden` for what the caller may not do, `not_ready` while the target does not tell its instances.
 */
export async function resolveBatch(
  { instances }: Pick<AppContext, 'instances'>,
  caller: Caller,
  request: BatchUpload,
): Promise<Draft> {
  const { project, batch } = request;
  caller.demandWriting();
  const drafts = new Map<string, Draft>();
  const add = (instance: string, path: string): void => {
    const key = `${instance}\0${path}`;
    if (!drafts.has(key)) drafts.set(key, draftOf({ ...request, batch: undefined, instance, path }, caller));
    if (drafts.size > MOST_JOBS)
      throw new CodedError(
        'bad_request',
        `More than ${MOST_JOBS} destinations at once; send several uploads`,
      );
  };
  // What is refused whatever there is need not wait for the target.
  for (const { names, path } of batch.destinations)
    for (const name of names) if (!isPattern(name)) add(name, path);
  const known = await candidates(instances, caller, request);
  drafts.clear();
  for (const { names, path } of batch.destinations) {
    for (const name of names) {
      if (!isPattern(name)) {
        add(name, path);
        continue;
      }
      const matching = known.filter((instance) => matchesName(name, instance));
      if (matching.length === 0) throw noMatch(name, project, batch, caller.isLimited);
      for (const instance of matching) add(instance, path);
    }
  }
  const destinations = Array.from(drafts.values(), ({ instance, path, sourceName }) => ({
    ...{ instance, path, sourceName },
  }));
  const [first] = drafts.values();
  if (first === undefined) throw new CodedError('bad_request', 'X-Container-Name names no instance');
  return { ...first, batch: { destinations, request: digestOf(request) } };
}

/** Names that patterns may match, in their order; none are asked for when there is no pattern. */
async function candidates(
  instances: Instances,
  caller: Caller,
  { project, batch }: BatchUpload,
): Promise<readonly string[]> {
  const patterns = batch.destinations.flatMap(({ names }) => names.filter(isPattern));
  if (patterns.length === 0) return [];
  try {
    const found =
      batch.allWith.length === 0 ? await instances.list(project) : await chosen(instances, project, batch);
    return found
      .filter((one) => one.project === project && caller.coversInstance(project, one.instance))
      .map(({ instance }) => instance)
      .sort();
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'target_unreachable') throw error;
    throw new CodedError(
      'not_ready',
      `Cannot tell which instances ${patterns[0]} matches: ${error.message}; name them, or try again in a moment`,
      { cause: error, retryAfterSeconds: RETRY_AFTER_SECONDS },
    );
  }
}

async function chosen(instances: Instances, project: string, { allWith }: BatchRequest) {
  const found = await instances.listConfigured(project);
  return found.filter(({ config }) => allWith.every(({ key, value }) => config.get(key) === value));
}

function noMatch(
  pattern: string,
  project: string,
  { allWith }: BatchRequest,
  isLimited: boolean,
): CodedError {
  const having = allWith.length === 0 ? '' : ` with ${allWith.map(formatConfigFilter).join(' and ')}`;
  const within = isLimited ? ' that the token covers' : '';
  return new CodedError(
    'no_instance_matches',
    `No instance of project ${project}${within} matches ${pattern}${having}; see: incus-upload instances`,
  );
}

/** Two requests that ask for the same have the same digest, whatever instances there are by then. */
function digestOf({ project, sourceName, batch, extract }: BatchUpload): string {
  const destinations = batch.destinations.map(({ names, path }) => [names, path]);
  const filters = batch.allWith.map(formatConfigFilter);
  const named =
    batch.destinations.some(({ path }) => path.endsWith('/')) && extract === null ? sourceName : '';
  return createHash('sha256')
    .update(JSON.stringify([project, destinations, filters, named, extract]))
    .digest('base64url');
}
