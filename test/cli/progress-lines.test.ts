import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { displayWidth } from '../../src/cli/display-width.ts';
import { formatProgress, formatProgressRows, formatWords } from '../../src/cli/progress-lines.ts';

const PROGRESS = { bytes: 2 ** 29, totalBytes: 2 ** 30, rate: 2 ** 27, timeLeftMs: 4000 };

test('formatProgress() tells less where there is less room', () => {
  for (const [columns, line] of [
    [80, 'app.tar   50%  512.0 MiB of 1.0 GiB  128.0 MiB/s  4.0s left'],
    [48, 'app.tar   50% 512.0 MiB 128.0 MiB/s 4.0s'],
    [30, 'app.tar   50% 128.0 MiB/s 4.0s'],
    [20, 'app.tar   50% 4.0s'],
  ] as const) {
    assert.equal(formatProgress('app.tar', '', PROGRESS, columns), line);
  }
  assert.match(formatProgress('app.tar', 'delivering', PROGRESS, 80), /^app\.tar {2}delivering {3}50%/);
});

test('formatProgress() does without what is not known', () => {
  const unknown = { bytes: 5, totalBytes: undefined, rate: 0, timeLeftMs: undefined };
  assert.equal(formatProgress('standard input', '', unknown, 80), 'standard input  5 B');
  assert.match(formatProgress('empty', '', { ...unknown, totalBytes: 0 }, 80), /100%/);
});

test('formatProgress() and formatWords() are never wider than the terminal', () => {
  const amounts = fc.record({
    bytes: fc.nat(2 ** 31 - 1),
    totalBytes: fc.option(fc.nat(2 ** 31 - 1), { nil: undefined }),
    rate: fc.nat(2 ** 31 - 1),
    timeLeftMs: fc.option(fc.nat(2 ** 31 - 1), { nil: undefined }),
  });
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme' }),
      fc.string(),
      amounts,
      fc.integer({ min: 1, max: 200 }),
      (name, words, amount, columns) => {
        assert.ok(displayWidth(formatProgress(name, words.slice(0, 10), amount, columns)) <= columns);
        assert.ok(displayWidth(formatWords(name, words, columns)) <= columns);
      },
    ),
  );
});

test('formatProgressRows() puts numbers below each other', () => {
  const rows = ['a', 'a-longer-name.bin', '日本語.tar'].map((name, index) => ({
    name,
    verb: '',
    progress: { ...PROGRESS, bytes: 2 ** (20 + 4 * index) },
  }));
  for (const columns of [30, 40, 80, 200]) {
    const lines = formatProgressRows(rows, columns);
    const places = new Set(lines.map((line) => displayWidth(line.slice(0, line.indexOf('%')))));
    assert.equal(places.size, 1, lines.join('\n'));
  }
});

test('formatProgress() keeps what is done for longer than the time left', () => {
  const progress = { bytes: 2 ** 20, totalBytes: 3 * 2 ** 20, rate: 368, timeLeftMs: 5_460_000 };
  assert.equal(
    formatProgress('tree', 'delivering 345 of 1,200 files', progress, 76),
    'tree  delivering 345 of 1,200 files   33%  1.0 MiB of 3.0 MiB  368 B/s',
  );
  assert.equal(
    formatProgress('tree', 'delivering 345 of 1,200 files', progress, 37),
    'tree   33% 1.0 MiB 368 B/s 1h31m',
  );
});
