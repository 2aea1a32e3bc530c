import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Samples } from './samples.ts';

function threeRuns(): Samples {
  const samples = new Samples('1');
  for (const [ours, peer] of [
    [30, 10],
    [20, 10],
    [80, 20],
  ] as const) {
    samples.add('accept', 'requests/s', 'ours', ours);
    samples.add('accept', 'requests/s', 'peer', peer);
    samples.compare('accept', 'requests/s', 'ours', 'peer', { is: '>=', value: 3 });
  }
  return samples;
}

test('Samples.lines() shows the ratio of ours on the line of the peer, run by run', () => {
  const [ours, peer] = threeRuns().lines(true);
  assert.equal(ours?.ratio, null);
  assert.equal(ours?.met, null);
  assert.deepEqual(peer?.ratio?.values, [3, 2, 4]);
  assert.equal(peer?.ratio?.median, 3);
  assert.equal(peer?.met, true);
});

test('Samples.lines() leaves targets open when times are not judged', () => {
  assert.deepEqual(
    threeRuns()
      .lines(false)
      .map(({ met }) => met),
    [null, null],
  );
});

test('Samples.lines() judges a value that has a target of its own by its median', () => {
  const samples = new Samples('2');
  for (const mib of [100, 130, 140]) {
    samples.add('accept', 'MiB', 'peak memory', mib, { is: '<=', value: 120 });
  }
  assert.equal(samples.lines(true)[0]?.met, false);
});

test('Samples.lines() keeps a peer whose ours never ran, without a ratio', () => {
  const samples = new Samples('3');
  samples.add('push', 's', 'peer', 2);
  samples.compare('push', 's', 'ours', 'peer', { is: '<=', value: 1 });
  assert.equal(samples.lines(true)[0]?.ratio, null);
});

test('Samples.note() keeps each note once', () => {
  const samples = new Samples('1');
  samples.note('go is missing');
  samples.note('go is missing');
  assert.deepEqual(samples.notes, ['go is missing']);
});
