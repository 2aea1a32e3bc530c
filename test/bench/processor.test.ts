import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readProcessorTime, workedSince } from './processor.ts';

test('readProcessorTime() reads the line of all processors', () => {
  const stat = 'cpu  100 20 300 4000 50 6 7 80 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nintr 5\n';
  assert.deepEqual(readProcessorTime(stat), { busySeconds: 4.33, allSeconds: 44.83 });
});

test('workedSince() gives seconds and the part of the time', () => {
  const before = { busySeconds: 1, allSeconds: 10 };
  assert.deepEqual(workedSince(before, { busySeconds: 4, allSeconds: 14 }), { seconds: 3, percent: 75 });
  const running = readProcessorTime();
  for (const end = performance.now() + 60; performance.now() < end; );
  assert.ok(workedSince(running).seconds > 0);
});
