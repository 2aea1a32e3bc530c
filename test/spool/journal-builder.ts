/** Makes journals for tests, without a spool around them. */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Ballast } from '../../src/spool/ballast.ts';
import { Journal } from '../../src/spool/journal.ts';
import { releaseAfter } from '../support/release-after.ts';
import { makeDirectory } from './spool-builder.ts';

/** A journal that is closed after the test. */
export async function openJournal(
  t: TestContext,
  directory: string,
  onBroken = (error: Error): void => assert.fail(error),
  log = true,
): Promise<Journal> {
  const options = { ballast: new Ballast(directory), onBroken, log };
  const journal = await Journal.open(join(directory, 'journal'), options);
  releaseAfter(t, () => journal.close().catch(() => undefined));
  return journal;
}

/** What the machine would find after kill -9: the journal's files as they are. */
export async function copyOf(t: TestContext, directory: string): Promise<string> {
  const copy = join(await makeDirectory(t), 'copy');
  cpSync(directory, copy, { recursive: true });
  return copy;
}

export function put(journal: Journal, key: number, size = 10, must = false): Promise<void> {
  return journal.write(() => journal.jobs.put(key, Buffer.alloc(size, key)), { must });
}
