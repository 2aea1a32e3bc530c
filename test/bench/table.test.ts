import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Samples } from './samples.ts';
import { formatNumber, formatTable, formatTargets } from './table.ts';

test('formatNumber() shows about three digits', () => {
  assert.deepEqual([25_312.4, 640.2, 12.34, 1.234, 0.01234].map(formatNumber), [
    '25,312',
    '640',
    '12.3',
    '1.23',
    '0.012',
  ]);
});

test('formatTable() names row and work once and lines its columns up', () => {
  const samples = new Samples('1');
  samples.add('accept 1 KiB', 'requests/s', 'incus-uploadd', 25_000);
  samples.add('accept 1 KiB', 'requests/s', 'Go', 5000);
  samples.compare('accept 1 KiB', 'requests/s', 'incus-uploadd', 'Go', { is: '>=', value: 3 });
  const text = formatTable(samples.lines(true)).split('\n');
  assert.equal(text.length, 4);
  assert.equal(new Set(text.map((line) => line.length)).size, 1);
  assert.match(text[2] ?? '', /^\| 1 +\| accept 1 KiB +\| incus-uploadd/);
  assert.match(text[3] ?? '', /^\| +\| +\| Go +\| +5,000 .* 5\.00 \(5\.00–5\.00\) \| +≥ 3 \| +yes \|$/);
});

test('formatTargets() has one line for each target, with ours beside what it is compared with', () => {
  const samples = new Samples('1');
  samples.add('accept', 'requests/s', 'incus-uploadd', 25_000);
  samples.add('accept', 'requests/s', 'Go', 5000);
  samples.add('accept', 'requests/s', 'cp', 7000);
  samples.compare('accept', 'requests/s', 'incus-uploadd', 'Go', { is: '>=', value: 3 });
  samples.compare('accept', 'requests/s', 'incus-uploadd', 'cp');
  samples.add('memory', 'MiB', 'incus-uploadd', 121, { is: '<=', value: 120 });
  const text = formatTargets(samples.lines(true)).split('\n');
  assert.deepEqual(
    text.slice(2).map((line) =>
      line
        .split('|')
        .map((cell) => cell.trim())
        .slice(1, -1),
    ),
    [
      ['1', 'accept', '25,000 requests/s', 'Go: 5,000', '5.00 (5.00–5.00)', '≥ 3', 'yes'],
      ['', 'memory', '121 MiB', '', '', '≤ 120', 'NO'],
    ],
  );
});
