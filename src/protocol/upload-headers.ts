/** The headers of an upload, both ways. One walk over the raw header list; no copy of headers that are not ours. */
import { CodedError, messageOf } from '../errors.ts';
import {
  ANY_INSTANCE,
  type BatchRequest,
  checkBatchRequest,
  formatConfigFilter,
  formatDestinationPattern,
  parseConfigFilter,
  parseDestinationPattern,
  parseNames,
} from './destination-pattern.ts';
import { decodeReprDigest, encodeReprDigest } from './digest.ts';
import { decodeExtValue, decodeRawUtf8, encodeExtValue, isPlainHeaderValue } from './ext-value.ts';
import type { JobDestination } from './job.ts';
import { formatMode, parseMode } from './mode.ts';
import {
  baseName,
  cleanPath,
  fileNameProblem,
  instanceNameProblem,
  pathProblem,
  projectNameProblem,
} from './names.ts';

export type UploadRequest = JobDestination & {
  readonly idempotencyKey: string | null;
  /** Hex SHA-256 that the body must have. */
  readonly sha256: string | null;
  /** The body is an archive, to be unpacked into the directory `path`. */
  readonly extract: 'tar' | null;
  /** Set when it has or may have several destinations; `instance` and `path` are then the words for the first. */
  readonly batch?: BatchRequest | undefined;
};

const NAMES: ReadonlySet<string> = new Set([
  'x-container-name',
  'x-file-path',
  'x-host-path',
  'x-incus-project',
  'x-file-mode',
  'x-file-uid',
  'x-file-gid',
  'x-create-dirs',
  'idempotency-key',
  'repr-digest',
  'x-extract',
]);

/** These may come more than once. */
const LISTS: ReadonlySet<string> = new Set(['x-also-to', 'x-all-with']);

const MAX_ID = 2 ** 32 - 2;
const MAX_KEY_LENGTH = 255;

/**
 * Reads the upload's headers from Node's `rawHeaders` (name, value, name, value …; one latin1 character a byte).
 * Throws `bad_request` or `name_too_long` with a sentence that names the header.
 */
export function decodeUploadHeaders(rawHeaders: readonly string[]): UploadRequest {
  const { values, lists } = collect(rawHeaders);

  const instance = values.get('x-container-name') || (lists.has('x-all-with') ? ANY_INSTANCE : undefined);
  if (instance === undefined) throw bad('X-Container-Name is missing: it names the instance');

  const rawPath = values.get('x-file-path');
  if (rawPath === undefined || rawPath === '') {
    throw bad('X-File-Path is missing: it is the absolute path inside the instance');
  }
  const path = cleanPath(rawPath);
  const problem = pathProblem(path);
  if (problem !== undefined) throw new CodedError(problem.code, `X-File-Path: ${problem.message}`);

  const batch = readBatch(instance, path, lists);
  if (batch === undefined) {
    const instanceProblem = instanceNameProblem(instance);
    if (instanceProblem !== undefined) throw bad(`X-Container-Name: ${instanceProblem}`);
  }

  const extract = values.get('x-extract')?.toLowerCase() ?? null;
  if (extract !== null && extract !== 'tar') throw bad('X-Extract: expected tar');

  const sourceName = baseName(values.get('x-host-path') ?? '');
  const sourceProblem = fileNameProblem(sourceName);
  const intoDirectory = batch?.destinations.some((one) => one.path.endsWith('/')) ?? path.endsWith('/');
  if (intoDirectory && extract === null) {
    if (sourceName === '') throw bad('X-File-Path ends in /, so X-Host-Path must name the file');
    if (sourceProblem !== undefined)
      throw new CodedError(sourceProblem.code, `X-Host-Path: ${sourceProblem.message}`);
  }

  const project = values.get('x-incus-project') ?? 'default';
  const projectProblem = projectNameProblem(project);
  if (projectProblem !== undefined) throw bad(`X-Incus-Project: ${projectProblem}`);

  const mode = parseMode(values.get('x-file-mode') ?? '0644');
  if (mode === undefined) throw bad('X-File-Mode: expected an octal mode such as 0644');

  const createDirs = values.get('x-create-dirs')?.toLowerCase() ?? 'true';
  if (createDirs !== 'true' && createDirs !== 'false') throw bad('X-Create-Dirs: expected true or false');

  const idempotencyKey = values.get('idempotency-key') ?? null;
  if (idempotencyKey !== null && (idempotencyKey === '' || idempotencyKey.length > MAX_KEY_LENGTH)) {
    throw bad(`Idempotency-Key: expected 1 to ${MAX_KEY_LENGTH} characters`);
  }

  const digest = values.get('repr-digest');
  const sha256 = digest === undefined ? undefined : decodeReprDigest(digest);
  if (sha256 === null) throw bad('Repr-Digest: expected sha-256=:BASE64:');

  return {
    instance,
    project,
    path,
    // A display name that cannot be a file name is no reason to refuse a file that has a path of its own.
    sourceName: sourceProblem === undefined ? sourceName : '',
    mode,
    uid: parseId(values.get('x-file-uid'), 'X-File-Uid'),
    gid: parseId(values.get('x-file-gid'), 'X-File-Gid'),
    createDirs: createDirs === 'true',
    idempotencyKey,
    sha256: sha256 ?? null,
    extract,
    ...(batch === undefined ? {} : { batch }),
  };
}

/** Undefined for one instance by its name: that is no batch. */
function readBatch(
  instance: string,
  path: string,
  lists: ReadonlyMap<string, readonly string[]>,
): BatchRequest | undefined {
  const also = lists.get('x-also-to') ?? [];
  const allWith = lists.get('x-all-with') ?? [];
  if (also.length === 0 && allWith.length === 0 && !/[,*?]/.test(instance)) return undefined;
  const named = <T>(header: string, read: () => T): T => {
    try {
      return read();
    } catch (error) {
      throw bad(`${header}: ${messageOf(error)}`);
    }
  };
  const mayBeAll = allWith.length > 0;
  const batch: BatchRequest = {
    destinations: [
      { names: named('X-Container-Name', () => parseNames(instance)), path },
      ...also.map((text) => named('X-Also-To', () => parseDestinationPattern(text, mayBeAll))),
    ],
    allWith: allWith.map((text) => named('X-All-With', () => parseConfigFilter(text))),
  };
  named('X-All-With', () => checkBatchRequest(batch));
  return batch;
}

/** The headers a client sends for an upload; values that are not plain ASCII go in the form of RFC 8187. */
export function encodeUploadHeaders(request: UploadRequest): Record<string, string> {
  const headers: Record<string, string> = {};
  const put = (name: string, value: string): void => {
    if (isPlainHeaderValue(value)) headers[name] = value;
    else headers[`${name}*`] = encodeExtValue(value);
  };
  put('X-Container-Name', request.instance);
  put('X-File-Path', request.path);
  if (request.sourceName !== '') put('X-Host-Path', request.sourceName);
  if (request.project !== 'default') put('X-Incus-Project', request.project);
  put('X-File-Mode', formatMode(request.mode));
  if (request.uid !== 0) put('X-File-Uid', String(request.uid));
  if (request.gid !== 0) put('X-File-Gid', String(request.gid));
  if (!request.createDirs) put('X-Create-Dirs', 'false');
  if (request.idempotencyKey !== null) put('Idempotency-Key', request.idempotencyKey);
  if (request.extract !== null) headers['X-Extract'] = request.extract;
  if (request.sha256 !== null) headers['Repr-Digest'] = encodeReprDigest(request.sha256);
  return headers;
}

/** What comes on top of them for a batch: a header for each further destination, and for each choice. */
export function encodeBatchHeaders({ destinations, allWith }: BatchRequest): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  const put = (name: string, values: readonly string[]): void => {
    if (values.length === 0) return;
    const isPlain = values.every(isPlainHeaderValue);
    headers[isPlain ? name : `${name}*`] = isPlain ? [...values] : values.map(encodeExtValue);
  };
  put('X-Also-To', destinations.slice(1).map(formatDestinationPattern));
  put('X-All-With', allWith.map(formatConfigFilter));
  return headers;
}

type Collected = {
  readonly values: ReadonlyMap<string, string>;
  readonly lists: ReadonlyMap<string, readonly string[]>;
};

function collect(rawHeaders: readonly string[]): Collected {
  const values = new Map<string, string>();
  const lists = new Map<string, string[]>();
  const extended = new Set<string>();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const written = rawHeaders[i] ?? '';
    const lower = written.toLowerCase();
    const isExtended = lower.endsWith('*');
    const name = isExtended ? lower.slice(0, -1) : lower;
    const isList = LISTS.has(name);
    if (!isList && !NAMES.has(name)) continue;
    const raw = rawHeaders[i + 1] ?? '';
    const value = isExtended ? decodeExtValue(raw) : decodeRawUtf8(raw);
    if (value === undefined) {
      throw bad(
        isExtended ? `${written}: expected UTF-8''percent-encoded (RFC 8187)` : `${written}: not valid UTF-8`,
      );
    }
    if (isList) {
      lists.set(name, [...(lists.get(name) ?? []), value]);
      continue;
    }
    const seen = values.get(name);
    // RFC 8187 section 4.2: a recipient that knows the extended form prefers it to the plain one.
    if (isExtended ? extended.has(name) : seen !== undefined && !extended.has(name)) {
      throw bad(`${written} is given twice`);
    }
    if (isExtended) extended.add(name);
    else if (extended.has(name)) continue;
    values.set(name, value);
  }
  return { values, lists };
}

function parseId(text: string | undefined, header: string): number {
  if (text === undefined) return 0;
  const id = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(id <= MAX_ID)) throw bad(`${header}: expected a number from 0 to ${MAX_ID}`);
  return id;
}

function bad(message: string): CodedError {
  return new CodedError('bad_request', message);
}
