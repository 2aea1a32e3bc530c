import { openFileSource } from '../client/file-source.ts';
import type { Source } from '../client/source.ts';
import { createStreamSource } from '../client/stream-source.ts';
import { CodedError } from '../errors.ts';
import { type BatchRequest, formatDestinationPattern } from '../protocol/destination-pattern.ts';
import { baseName } from '../protocol/names.ts';
import type { UploadRequest } from '../protocol/upload-headers.ts';
import { connect, type GlobalFlags, projectOf } from './context.ts';
import { watchInterruption } from './interruption.ts';
import { destinationOf } from './job-line.ts';
import type { Totals } from './live-view.ts';
import { createOutput, exitStatusOf, type Output } from './output.ts';
import { pushOne } from './push-one.ts';
import { isSingle, isTree, readOperands, statOf } from './push-operands.ts';
import type { PushOptions } from './push-options.ts';
import { createSlots } from './slots.ts';
import { createTransfer } from './transfer.ts';
import { openView } from './view.ts';

/** Jobs that are watched at once; the others are asked for later. */
const WATCHED_JOBS = 16;

/** `push SOURCE... DESTINATION`. Resolves to the exit status: that of the first source that failed. */
export async function runPush(
  operands: readonly string[],
  options: PushOptions,
  flags: GlobalFlags,
): Promise<number> {
  const output = createOutput(flags);
  const { sources, batch } = readOperands(operands, options);
  const project = projectOf(flags) ?? 'default';
  const connection = await connect(flags);
  const interruption = watchInterruption();
  const items = await itemsOf(sources, options, {
    output,
    warn: !flags.quiet && !flags.json,
    signal: interruption.signal,
  });
  const view = await openView(output, flags, () => totalsOf(items));
  const inSendSlot = createSlots(options.jobs);
  const inWaitSlot = createSlots(WATCHED_JOBS);

  const interrupted: CodedError[] = [];

  const send = async ({ name, open }: Item): Promise<number> => {
    let source: Source | undefined;
    try {
      interruption.signal.throwIfAborted();
      const opened = await open();
      source = opened;
      const request = requestFor(opened, batch, project, options);
      const destined =
        request.batch === undefined ? destinationOf(request) : formatDestinations(request.batch);
      const transfer = createTransfer(opened.name, destined, opened.sizeBytes, opened.files);
      const push = {
        ...{ connection, source: opened, request, transfer, view, output, flags },
        ...{ options, inSendSlot, inWaitSlot, signal: interruption.signal },
      };
      if (request.batch === undefined) return await pushOne(push);
      const { pushBatch } = await import('./push-batch.ts');
      return await pushBatch(push);
    } catch (error) {
      if (error instanceof CodedError && error.code === 'interrupted') interrupted.push(error);
      else output.fail(error, { source: name });
      return exitStatusOf(error);
    } finally {
      await source?.close();
    }
  };

  // Files are opened when their turn comes, so that a long list does not use up the descriptors.
  const inOpenSlot = createSlots(options.jobs + WATCHED_JOBS);
  try {
    const statuses = await Promise.all(items.map((item) => inOpenSlot(() => send(item))));
    view.close();
    if (interrupted.length > 0) {
      output.fail(summaryOf(interrupted, statuses));
      return exitStatusOf(interrupted[0]);
    }
    return statuses.find((status) => status !== 0) ?? 0;
  } finally {
    view.close();
    interruption.stop();
    connection.close();
  }
}

/** One line for all that Ctrl-C cut off: each of them when they are few. */
function summaryOf(interrupted: readonly CodedError[], statuses: readonly number[]): CodedError {
  const [first] = interrupted;
  if (interrupted.length === 1 && first !== undefined) return first;
  const done = statuses.filter((status) => status === 0).length;
  const accepted = interrupted.filter(({ message }) => message.includes('was accepted')).length;
  return new CodedError(
    'interrupted',
    `Interrupted; of ${statuses.length} files ${done + accepted} were accepted; see: incus-upload jobs`,
  );
}

/** What becomes one job. */
type Item = { readonly name: string; readonly open: () => Source | Promise<Source> };

/** Sources one by one, or all of them as one tree when a directory is among them. */
async function itemsOf(
  sources: readonly string[],
  options: PushOptions,
  context: { readonly output: Output; readonly warn: boolean; readonly signal: AbortSignal },
): Promise<Item[]> {
  if (options.extract === true) {
    const { openArchive } = await import('./push-tree.ts');
    return sources.map((path) => ({ name: path, open: () => openArchive(openSource(path)) }));
  }
  if (options.recursive === true && sources.some(isTree)) {
    const { openTree, treeName } = await import('./push-tree.ts');
    return [{ name: treeName(sources), open: () => openTree(sources, options, context) }];
  }
  return sources.map((path) => ({ name: path, open: () => openSource(path) }));
}

/** For the line that shows all: a source that cannot be looked at fails later, with its reason. */
function totalsOf(items: readonly Item[]): Totals {
  let bytes = 0;
  for (const { name } of items) {
    if (name !== '-') bytes += statOf(name)?.size ?? 0;
  }
  return { files: items.length, bytes };
}

function openSource(path: string): Source {
  return path === '-' ? createStreamSource('standard input', process.stdin) : openFileSource(path);
}

function requestFor(
  source: Source,
  batch: BatchRequest,
  project: string,
  options: PushOptions,
): UploadRequest {
  const tree = source.extract !== undefined;
  const destinations = batch.destinations.map(({ names, path }) => ({
    names,
    path: tree && !path.endsWith('/') ? `${path}/` : path,
  }));
  const [first] = destinations;
  return {
    instance: first?.names.join(',') ?? '',
    path: first?.path ?? '',
    ...(isSingle(batch) ? {} : { batch: { ...batch, destinations } }),
    project,
    sourceName: source.sentName ?? (source.sizeBytes === undefined ? '' : baseName(source.name)),
    mode: options.mode ?? source.mode ?? 0o644,
    uid: options.uid,
    gid: options.gid,
    createDirs: options.createDirs !== false,
    idempotencyKey: createKey(),
    sha256: null,
    extract: source.extract ?? null,
  };
}

/** `web-1:/path`, `web-*:/path and 2 more`. */
function formatDestinations({ destinations: [first, ...others] }: BatchRequest): string {
  const text = first === undefined ? '' : formatDestinationPattern(first);
  return others.length === 0 ? text : `${text} and ${others.length} more`;
}

/**
 * A key that no other upload has. It guards against doubles, not against people, so it needs no cryptography, whose
 * loading would be a tenth of the time that a small push takes.
 */
function createKey(): string {
  const random = (): string => Math.random().toString(36).slice(2, 13);
  return `${Date.now().toString(36)}-${process.pid.toString(36)}-${random()}${random()}`;
}
