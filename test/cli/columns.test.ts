import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Column, formatColumns } from '../../src/cli/columns.ts';
import { displayWidth } from '../../src/cli/display-width.ts';

const COLUMNS: readonly Column[] = [
  { heading: 'ID' },
  { heading: 'SIZE', right: true, goes: 1 },
  { heading: 'PATH', cut: 'start', shrinks: { turn: 2, least: 6 } },
  { heading: 'WHY', cut: 'end', shrinks: { turn: 1, least: 5 }, goes: 2 },
];
const ROWS = [['1', '12 B', '/some/long/path', 'because of this']];
const format = (width: number | undefined): string[] => formatColumns(COLUMNS, ROWS, width, (text) => text);

test('formatColumns() aligns numbers at the right, all else at the left', () => {
  assert.deepEqual(format(undefined), [
    'ID  SIZE  PATH             WHY',
    '1   12 B  /some/long/path  because of this',
  ]);
});

test('formatColumns() shortens first, then leaves whole columns out, and widens the others again', () => {
  assert.equal(format(40)[1], '1   12 B  /some/long/path  because of …');
  assert.equal(format(30)[1], '1   12 B  …e/long/path  beca…');
  assert.equal(format(24)[1], '1   12 B  …/path  beca…');
  assert.equal(format(16)[1], '1   …/long/path');
  assert.equal(format(10)[1], '1   …path');
});

test('formatColumns() never gives a line wider than it may be', () => {
  const cell = fc.string({ unit: 'grapheme', maxLength: 30 });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(cell, cell, cell), { maxLength: 4 }),
      fc.integer({ min: 20, max: 120 }),
      (rows, width) => {
        const all = rows.map((row) => ['id', ...row]);
        for (const line of formatColumns(COLUMNS, all, width, (text) => text))
          assert.ok(displayWidth(line) < width, line);
      },
    ),
  );
});
