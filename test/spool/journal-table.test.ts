import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { Ballast } from '../../src/spool/ballast.ts';
import { Journal } from '../../src/spool/journal.ts';
import type { JournalKey } from '../../src/spool/journal-operation.ts';
import type { JournalTable, Range } from '../../src/spool/journal-table.ts';
import { releaseAfter } from '../support/release-after.ts';
import { makeDirectory } from './spool-builder.ts';

type Step<K> = { key: K; value: Buffer | undefined } | 'checkpoint';

/** What a table shows, whatever of it is in lmdb already, is what a sorted map would. */
function checkTable<K extends JournalKey>(
  name: string,
  tableOf: (journal: Journal) => JournalTable<K>,
  keys: fc.Arbitrary<K>,
  compare: (a: K, b: K) => number,
): void {
  test(`JournalTable shows ${name} as a sorted map would`, async (t) => {
    const directory = await makeDirectory(t);
    const options = { ballast: new Ballast(directory), onBroken: (error: Error) => assert.fail(error) };
    const journal = await Journal.open(join(directory, 'journal'), options);
    releaseAfter(t, () => journal.close());
    const table = tableOf(journal);
    const model: { key: K; value: Buffer }[] = [];
    const find = (key: K): number => model.findIndex((entry) => compare(entry.key, key) === 0);
    const value = fc.option(
      fc.nat({ max: 255 }).map((byte) => Buffer.from([byte])),
      { nil: undefined },
    );
    const step: fc.Arbitrary<Step<K>> = fc.oneof(
      { weight: 6, arbitrary: fc.record({ key: keys, value }) },
      { weight: 1, arbitrary: fc.constant('checkpoint' as const) },
    );
    const range: fc.Arbitrary<Range<K>> = fc.record(
      { start: keys, end: keys, reverse: fc.boolean(), limit: fc.nat({ max: 5 }) },
      { requiredKeys: [] },
    );
    const property = fc.asyncProperty(fc.array(step, { maxLength: 30 }), range, async (steps, about) => {
      let checkpoint: Promise<void> | undefined;
      for (const one of steps) {
        // Not awaited: what is frozen has to be seen as well.
        if (one === 'checkpoint') checkpoint = journal.checkpoint();
        else {
          await journal.write(() => {
            if (one.value === undefined) table.remove(one.key);
            else table.put(one.key, one.value);
          });
          const at = find(one.key);
          if (at !== -1) model.splice(at, 1);
          if (one.value !== undefined) model.push({ key: one.key, value: one.value });
        }
      }
      model.sort((a, b) => compare(a.key, b.key));
      const wanted = inRange(model, about, compare);
      assert.deepEqual([...table.getRange(about)], wanted);
      assert.deepEqual(
        [...table.getKeys(about)],
        wanted.map(({ key }) => key),
      );
      assert.equal(table.count(), model.length);
      for (const { key, value: expected } of model) {
        assert.deepEqual(table.get(key), expected);
        assert.ok(table.doesExist(key));
      }
      for (const one of steps)
        if (one !== 'checkpoint') assert.equal(table.doesExist(one.key), find(one.key) !== -1);
      await checkpoint;
      assert.deepEqual([...table.getRange(about)], wanted);
    });
    await fc.assert(property, { numRuns: 60 });
  });
}

function inRange<K>(
  model: readonly { key: K; value: Buffer }[],
  { start, end, reverse = false, limit = Number.POSITIVE_INFINITY }: Range<K>,
  compare: (a: K, b: K) => number,
): { key: K; value: Buffer }[] {
  const sign = reverse ? -1 : 1;
  const ordered = reverse ? [...model].reverse() : [...model];
  return ordered
    .filter(({ key }) => start === undefined || sign * compare(key, start) >= 0)
    .filter(({ key }) => end === undefined || sign * compare(key, end) < 0)
    .slice(0, limit);
}

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
const text = fc.constantFrom('a', 'ab', 'b', 'ä', '\u{ff5e}', '\u{1f600}', 'project-1');

checkTable(
  'numbers',
  ({ jobs }) => jobs,
  fc.nat({ max: 12 }),
  (a, b) => a - b,
);
checkTable(
  'pairs of numbers',
  ({ linger }) => linger,
  fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 3 })),
  (a, b) => a[0] - b[0] || a[1] - b[1],
);
checkTable('texts', ({ keys }) => keys, text, byBytes);
checkTable(
  'keys of several parts',
  ({ instances }) => instances,
  fc.tuple(text, text, fc.nat({ max: 2 })),
  (a, b) => byBytes(a[0], b[0]) || byBytes(a[1], b[1]) || a[2] - b[2],
);
