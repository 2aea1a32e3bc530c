/**
 * After a power cut of the host: what was delivered just before may be gone, since the instance had it in its page cache
 * only. The payloads that linger are therefore queued once more, with the jobs' own places in the order. Left out are a
 * job whose file a later job has replaced, and one whose file a later job is about to replace: to put the older
 * content back could undo what that one may have done already. An archive is unpacked again but for what later jobs have
 * delivered. Each job changes in one commit, so a crash in between
 * leaves the rest to the next start.
 */
import { laneOf } from '../protocol/job.ts';
import { keyOfPath } from '../protocol/path-key.ts';
import { requeued } from './create-record.ts';
import { decodeJobRecord, type JobRecord } from './job-record.ts';
import { prepareJob } from './job-tables.ts';
import type { Journal } from './journal.ts';
import type { LiveIndex } from './live-index.ts';
import { decodeNumber } from './number-codec.ts';
import type { Lingering, PayloadKeeper } from './payload-keeper.ts';
import type { TreeIndex } from './tree-index.ts';

type Candidate = { readonly record: JobRecord; readonly lingering: Lingering; readonly path: string };

const BATCH = 1000;

export type RedeliveryParts = {
  readonly journal: Journal;
  readonly live: LiveIndex;
  readonly payloads: PayloadKeeper;
  readonly trees: TreeIndex;
  readonly nowMs: () => number;
};

/** Queues again what was delivered within the linger; resolves to the sequences. */
export async function redeliverLingering(parts: RedeliveryParts): Promise<number[]> {
  const { journal, live, payloads, nowMs } = parts;
  const candidates = readCandidates(parts);
  dropReplaced(candidates, journal, live);
  const chosen = [...candidates.values()].flatMap((byPath) => [...byPath.values()]);
  for (let i = 0; i < chosen.length; i += BATCH) {
    await Promise.all(
      chosen.slice(i, i + BATCH).map(async ({ record, lingering }) => {
        const next = requeued(record, nowMs());
        const putJob = prepareJob(journal, record, next);
        await journal.write(
          () => {
            putJob();
            payloads.keepIn(lingering);
          },
          { must: true },
        );
        payloads.kept(lingering);
        live.add(laneOf(next), next.sequence);
      }),
    );
  }
  return chosen.map(({ record }) => record.sequence);
}

/** By lane and by path: delivered jobs that linger and whose file no later one has replaced. */
function readCandidates({ journal, payloads, trees }: RedeliveryParts): Map<string, Map<string, Candidate>> {
  const lanes = new Map<string, Map<string, Candidate>>();
  for (const lingering of payloads.lingering()) {
    const record = readRecord(journal, lingering.sequence);
    if (record?.state !== 'delivered' || record.deliveredPath === null) continue;
    const path = record.deliveredPath;
    const key = keyOfPath(record, path);
    const latest = journal.paths.get(key);
    const isFile = record.extract === null;
    if (isFile && latest !== undefined && decodeNumber(latest) > record.sequence) continue;
    if (isFile && trees.hasLater([key], record.sequence)) continue;
    const lane = laneOf(record);
    const byPath = lanes.get(lane) ?? new Map<string, Candidate>();
    lanes.set(lane, byPath);
    // Archives for one directory do not replace each other.
    const place = isFile ? path : `${path} ${record.sequence}`;
    const other = byPath.get(place);
    if (other === undefined || other.record.sequence < record.sequence)
      byPath.set(place, { record, lingering, path });
  }
  return lanes;
}

/** Takes out the candidates that an unfinished later job of their lane may replace. */
function dropReplaced(lanes: Map<string, Map<string, Candidate>>, journal: Journal, live: LiveIndex): void {
  for (const [lane, byPath] of lanes) {
    const unfinished = live.lane(lane);
    let sequence = unfinished?.after(
      Math.min(...Array.from(byPath.values(), ({ record }) => record.sequence)),
    );
    while (sequence !== undefined && byPath.size > 0) {
      for (const path of writablePaths(journal.jobs.get(sequence))) {
        const candidate = byPath.get(path);
        if (candidate !== undefined && candidate.record.sequence < sequence) byPath.delete(path);
      }
      sequence = unfinished?.after(sequence);
    }
  }
}

/** The files that a job may write, see `pathKeys`; read without the checks of a whole record, for there may be many. */
function writablePaths(bytes: Buffer | undefined): string[] {
  if (bytes === undefined) return [];
  try {
    const { path, source_name: name, extract } = JSON.parse(bytes.toString()) as Record<string, unknown>;
    // What is in an archive is not known here; it is delivered after what was before it.
    if (typeof path !== 'string' || typeof name !== 'string' || extract) return [];
    return path.endsWith('/') ? [path + name] : [path, `${path}/${name}`];
  } catch {
    return [];
  }
}

/** A record that cannot be read is left to `incus-uploadd fsck`. */
function readRecord(journal: Journal, sequence: number): JobRecord | undefined {
  const bytes = journal.jobs.get(sequence);
  try {
    return bytes === undefined ? undefined : decodeJobRecord(sequence, bytes);
  } catch {
    return undefined;
  }
}
