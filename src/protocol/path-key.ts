import { hash } from 'node:crypto';
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
  // A string of bytes costs a third of what a Buffer does.
  const digest = hash('sha256', `${project}\0${instance}\0${path}`, 'binary');
  return readUint32(digest, 0) * 2 ** 20 + (readUint32(digest, 4) >>> 12);
}

/** Little-endian. */
function readUint32(bytes: string, at: number): number {
  const low = bytes.charCodeAt(at) | (bytes.charCodeAt(at + 1) << 8) | (bytes.charCodeAt(at + 2) << 16);
  return low + bytes.charCodeAt(at + 3) * 2 ** 24;
}
