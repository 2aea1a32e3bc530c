import { createHash } from 'node:crypto';
import type { Job, JobDestination } from './job.ts';

/**
 * The files a job may write, as 52-bit numbers: two jobs that share one are delivered in the order accepted. A path
 * without a final `/` may turn out to be a directory, so it also stands for the file of the job's name in it. Two
 * different paths with one number only wait for each other. An archive has none: it is delivered alone, and each of its
 * files is asked for by itself.
 */
export function pathKeys(destination: JobDestination & Pick<Job, 'extract'>): readonly number[] {
  const { path, sourceName, extract } = destination;
  if (extract) return [];
  if (path.endsWith('/')) return [keyOfPath(destination, path + sourceName)];
  const key = keyOfPath(destination, path);
  if (sourceName === '') return [key];
  const inside = keyOfPath(destination, `${path}/${sourceName}`);
  return inside === key ? [key] : [key, inside];
}

/** The number of one file of one instance. */
export function keyOfPath(
  { project, instance }: { project: string; instance: string },
  path: string,
): number {
  const hash = createHash('sha256').update(`${project}\0${instance}\0${path}`).digest();
  return hash.readUInt32LE(0) * 2 ** 20 + (hash.readUInt32LE(4) >>> 12);
}
