import { resolve } from 'node:path';
import { openArchiveSource } from '../client/archive-source.ts';
import { createPathFilter } from '../client/path-filter.ts';
import type { Source } from '../client/source.ts';
import { openTreeSource } from '../client/tree-source.ts';
import { walkTree } from '../client/walk-tree.ts';
import { CodedError } from '../errors.ts';
import { baseName } from '../protocol/names.ts';
import { type Output, printable } from './output.ts';
import type { PushOptions } from './push-options.ts';

/** Where the sources of a `push -r` are looked at, and what was left out is told. */
export async function openTree(
  sources: readonly string[],
  options: PushOptions,
  { output, warn, signal }: { readonly output: Output; readonly warn: boolean; readonly signal: AbortSignal },
): Promise<Source> {
  const filter = createPathFilter(options.rules);
  try {
    const tree = await walkTree(sources, { dereference: options.dereference === true, filter, signal });
    if (warn) for (const line of tree.skipped) output.err(printable(`incus-upload: ${line}`));
    return { ...openTreeSource(treeName(sources), tree), sentName: baseName(resolve(sources[0] ?? '')) };
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'interrupted') throw error;
    throw new CodedError('interrupted', 'Interrupted; nothing was sent');
  }
}

/** What a tree of these sources is called where it is shown. */
export function treeName(sources: readonly string[]): string {
  const [first = '', ...others] = sources;
  return others.length === 0 ? first : `${first} and ${others.length} more`;
}

/** The archive in a source, which is closed when it holds none. */
export async function openArchive(source: Source): Promise<Source> {
  try {
    return await openArchiveSource(source);
  } catch (error) {
    await source.close();
    throw error;
  }
}
