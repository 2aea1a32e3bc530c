/** What start-up does with the state directory: reads which jobs are unfinished, removes payloads that belong to none. */
import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Journal } from './journal.ts';
import { decodeLive } from './live-entry.ts';
import type { LiveIndex } from './live-index.ts';
import { decodeNumber } from './number-codec.ts';

/** Fills the index from the journal; returns the payload files that unfinished jobs need. */
export function recoverLive(journal: Journal, live: LiveIndex): Set<number> {
  const files = new Set<number>();
  let lane = '';
  let laneBytes: Buffer = Buffer.alloc(0);
  for (const { key, value } of journal.live.getRange({ start: 0 })) {
    // Neighbours often share their lane; a million texts, or views of them, need not be made.
    if (laneBytes.compare(value, 16) !== 0) {
      lane = decodeLive(value).lane;
      laneBytes = Buffer.from(value.subarray(16));
    }
    live.add(lane, key);
    if (value.readDoubleLE(0) > 0) live.deferred.add(key);
    const file = value.readDoubleLE(8);
    if (file !== 0) files.add(file);
  }
  return files;
}

/** The last number that is known to have been given to a job. */
export function readLastNumber(journal: Journal): number {
  const noted = journal.meta.get('last');
  let last = noted === undefined ? 0 : decodeNumber(noted);
  for (const key of journal.jobs.getKeys({ reverse: true, limit: 1 })) last = Math.max(last, key);
  return last;
}

/** Payload files of failed jobs, which keep them for a retry. */
export function* failedFiles(journal: Journal): Iterable<number> {
  for (const { value } of journal.failed.getRange({ start: 0 })) {
    const file = decodeNumber(value, 1);
    if (file !== 0) yield file;
  }
}

/**
 * Removes payload files that no job knows: uploads that were cut off by the end of the last run. Returns the largest
 * number that was found, 0 for none.
 */
export async function removeOrphans(directory: string, known: ReadonlySet<number>): Promise<number> {
  let largest = 0;
  for (const name of await readdir(directory)) {
    const number = parsePayloadName(name);
    if (number === undefined) continue;
    largest = Math.max(largest, number);
    if (!known.has(number)) await unlink(join(directory, name));
  }
  return largest;
}

export function payloadName(number: number): string {
  return `${number.toString(36)}.payload`;
}

/** The number of a payload file's name, or undefined when it is not one of ours. */
export function parsePayloadName(name: string): number | undefined {
  const match = /^([0-9a-z]{1,11})\.payload$/.exec(name);
  const number = match === null ? Number.NaN : Number.parseInt(match[1] ?? '', 36);
  return Number.isSafeInteger(number) ? number : undefined;
}
