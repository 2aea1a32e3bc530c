/** Lists of jobs, newest first, in pages. A page costs no more than a bounded walk, however long the queue is. */
import type { OrderedNumbers } from '../base/ordered-numbers.ts';
import type { JobState } from '../protocol/job.ts';
import type { JobRecord } from './job-record.ts';
import type { Spool } from './spool.ts';

export type ListQuery = {
  readonly state: JobState | undefined;
  readonly instance: string | undefined;
  readonly project: string | undefined;
  readonly batch?: number | undefined;
  /** Most jobs on the page. */
  readonly limit: number;
  /** Only jobs older than this sequence: `next` of the page before. */
  readonly before: number | undefined;
};

export type ListPage = {
  readonly records: readonly JobRecord[];
  /** Where the next page starts, or null at the end. A page may be short of `limit` and still have a next one. */
  readonly next: number | null;
};

/** Entries that one page looks at, at the most, before it leaves the rest to the next page. */
const WALK_LIMIT = 5000;

/**
 * `delivering` are the sequences that are being delivered now: the journal does not know that state.
 * `matches` decides on what cannot be read off an index, such as the caller's scope.
 */
export function listJobs(
  spool: Spool,
  query: ListQuery,
  delivering: ReadonlySet<number>,
  matches: (record: JobRecord) => boolean = () => true,
): ListPage {
  const records: JobRecord[] = [];
  let walked = 0;
  let last: number | null = null;
  for (const sequence of sequences(spool, query, delivering)) {
    if (records.length >= query.limit || walked >= WALK_LIMIT) return { records, next: last };
    walked += 1;
    last = sequence;
    const record = spool.read(sequence);
    if (record === undefined || !fits(record, query, delivering) || !matches(record)) continue;
    records.push(record);
  }
  return { records, next: null };
}

function fits(record: JobRecord, query: ListQuery, delivering: ReadonlySet<number>): boolean {
  if (query.instance !== undefined && record.instance !== query.instance) return false;
  if (query.project !== undefined && record.project !== query.project) return false;
  if (query.state === undefined) return true;
  const state = delivering.has(record.sequence) ? 'delivering' : record.state;
  return state === query.state;
}

/** The narrowest index for the query, newest first, only sequences below `before`. */
function sequences(spool: Spool, query: ListQuery, delivering: ReadonlySet<number>): Iterable<number> {
  const { journal, live } = spool;
  const before = query.before ?? Number.MAX_SAFE_INTEGER;
  if (query.batch !== undefined) {
    const members = spool.readBatch(query.batch).map(({ sequence }) => sequence);
    return members.filter((sequence) => sequence < before).reverse();
  }
  switch (query.state) {
    case 'delivered':
    case 'failed':
    case 'cancelled':
      return query.instance === undefined
        ? journal[query.state].getKeys({ reverse: true, start: before - 1, end: 0 })
        : finishedOf(spool, query.instance, query.project, before);
    case 'delivering':
      return descending(delivering, before);
    case 'deferred':
      return downwards(live.deferred, before);
    case 'queued':
      return query.instance === undefined
        ? journal.live.getKeys({ reverse: true, start: before - 1, end: 0 })
        : liveOf(spool, query.instance, query.project, before);
    case undefined:
      return query.instance === undefined
        ? journal.jobs.getKeys({ reverse: true, start: before - 1, end: 0 })
        : merge(
            liveOf(spool, query.instance, query.project, before),
            finishedOf(spool, query.instance, query.project, before),
          );
  }
}

function descending(sequences: ReadonlySet<number>, before: number): number[] {
  return [...sequences].filter((sequence) => sequence < before).sort((a, b) => b - a);
}

/** Unfinished jobs of an instance in one project, or in all. */
function liveOf(
  spool: Spool,
  instance: string,
  project: string | undefined,
  before: number,
): Iterable<number> {
  const lanes: Iterable<number>[] = [];
  for (const name of spool.live.lanes()) {
    const slash = name.indexOf('/');
    if (name.slice(slash + 1) !== instance) continue;
    if (project !== undefined && name.slice(0, slash) !== project) continue;
    const sequences = spool.live.lane(name);
    if (sequences !== undefined) lanes.push(downwards(sequences, before));
  }
  return lanes.reduce(merge, []);
}

function* downwards(sequences: OrderedNumbers, before: number): Iterable<number> {
  let sequence = sequences.before(before);
  while (sequence !== undefined) {
    yield sequence;
    sequence = sequences.before(sequence);
  }
}

/** Finished jobs of an instance; the index is by project, so those of several projects are merged. */
function finishedOf(
  spool: Spool,
  instance: string,
  project: string | undefined,
  before: number,
): Iterable<number> {
  const { instances } = spool.journal;
  const streams: Iterable<number>[] = [];
  for (const name of project === undefined ? projectsOf(spool, instance) : [project]) {
    const keys = instances.getKeys({
      reverse: true,
      start: [instance, name, before - 1],
      end: [instance, name, 0],
    });
    streams.push(sequencesOf(keys));
  }
  return streams.reduce(merge, []);
}

function* sequencesOf(keys: Iterable<readonly [string, string, number]>): Iterable<number> {
  for (const [, , sequence] of keys) yield sequence;
}

function* projectsOf(spool: Spool, instance: string): Iterable<string> {
  const { instances } = spool.journal;
  let project = '';
  for (;;) {
    let next: string | undefined;
    const start: [string, string, number] = [instance, project, Number.MAX_SAFE_INTEGER];
    for (const [name, of] of instances.getKeys({ start, limit: 1 })) if (name === instance) next = of;
    if (next === undefined) return;
    yield next;
    project = next;
  }
}

/** Merges two descending sequences. An abandoned walk ends both: an open cursor would keep lmdb from reusing pages. */
function* merge(first: Iterable<number>, second: Iterable<number>): Iterable<number> {
  const a = first[Symbol.iterator]();
  const b = second[Symbol.iterator]();
  try {
    let left = a.next();
    let right = b.next();
    while (left.done !== true || right.done !== true) {
      if (right.done === true || (left.done !== true && left.value > right.value)) {
        yield left.value;
        left = a.next();
      } else {
        yield right.value;
        // A job that has just finished may stand in both.
        if (left.done !== true && left.value === right.value) left = a.next();
        right = b.next();
      }
    }
  } finally {
    a.return?.();
    b.return?.();
  }
}
