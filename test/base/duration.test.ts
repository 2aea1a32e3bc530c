import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatDuration, parseDuration } from '../../src/base/duration.ts';
import { CodedError } from '../../src/errors.ts';

test('parseDuration() reads every unit and their sums', () => {
  const cases: [string, number][] = [
    ['0', 0],
    ['0s', 0],
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5s', 1500],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['7d', 604_800_000],
    [' 2s ', 2000],
    ['5m5ms', 300_005],
  ];
  for (const [text, durationMs] of cases) assert.equal(parseDuration(text), durationMs, text);
});

test('parseDuration() refuses what has no unit or no number', () => {
  for (const text of [
    '',
    ' ',
    '5',
    '-5s',
    '5 s',
    's',
    '1e3s',
    '5S',
    '1h30',
    '.5s',
    '5.s',
    '9'.repeat(30).concat('d'),
  ]) {
    assert.throws(
      () => parseDuration(text),
      (error) => error instanceof CodedError && error.code === 'bad_request',
      text,
    );
  }
});

test('parseDuration() reads sums of all units', () => {
  const parts = fc.tuple(fc.nat(99), fc.nat(99), fc.nat(99), fc.nat(99), fc.nat(999));
  fc.assert(
    fc.property(parts, ([d, h, m, s, ms]) => {
      const expected = d * 86_400_000 + h * 3_600_000 + m * 60_000 + s * 1000 + ms;
      assert.equal(parseDuration(`${d}d${h}h${m}m${s}s${ms}ms`), expected);
    }),
  );
});

test('formatDuration() has at most two units', () => {
  const cases: [number, string][] = [
    [-5, '0.0s'],
    [0, '0.0s'],
    [420, '0.4s'],
    [9949, '9.9s'],
    [9950, '10s'],
    [59_499, '59s'],
    [59_500, '1m'],
    [190_000, '3m10s'],
    [7_500_000, '2h5m'],
    [356_400_000, '4d3h'],
  ];
  for (const [durationMs, text] of cases) assert.equal(formatDuration(durationMs), text);
});

test('formatDuration() writes what parseDuration() reads, within its precision', () => {
  fc.assert(
    fc.property(fc.nat({ max: 1e11 }), (durationMs) => {
      const error = Math.abs(parseDuration(formatDuration(durationMs)) - durationMs);
      const precision =
        durationMs < 10_000
          ? 50
          : durationMs < 3_600_000
            ? 500
            : durationMs < 86_400_000
              ? 60_000
              : 3_600_000;
      assert.ok(error <= precision, `${durationMs} → ${formatDuration(durationMs)}`);
    }),
  );
});
