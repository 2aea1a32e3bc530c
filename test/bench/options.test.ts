import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOptions } from './options.ts';

test('parseOptions() takes names by comma and by repetition', () => {
  assert.deepEqual(parseOptions(['--only', 'small,2', '--only', 'cli']).only, ['small', '2', 'cli']);
});

test('parseOptions() leaves runs to the rows unless told', () => {
  assert.equal(parseOptions([]).runs, undefined);
  assert.equal(parseOptions(['--runs', '7']).runs, 7);
  assert.throws(() => parseOptions(['--runs', '0']), /Not a number of runs/);
});

test('parseOptions() refuses what it does not know', () => {
  assert.throws(() => parseOptions(['--fast']));
});
