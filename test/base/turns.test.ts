import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferredPromise } from '../../src/base/deferred-promise.ts';
import { Turns } from '../../src/base/turns.ts';

test('Turns.run() lets so many run at once, in their order', async () => {
  const turns = new Turns(2);
  const gates = Array.from({ length: 5 }, () => createDeferredPromise<number>());
  const begun: number[] = [];
  const all = gates.map(({ promise }, index) =>
    turns.run(() => {
      begun.push(index);
      return promise;
    }),
  );
  await Promise.resolve();
  assert.deepEqual(begun, [0, 1]);
  gates[1]?.resolve(11);
  assert.equal(await all[1], 11);
  await Promise.resolve();
  assert.deepEqual(begun, [0, 1, 2]);
  assert.equal(turns.isIdle, false);
  for (const [index, gate] of gates.entries()) gate.resolve(index + 10);
  assert.deepEqual(await Promise.all(all), [10, 11, 12, 13, 14]);
  assert.deepEqual(begun, [0, 1, 2, 3, 4]);
  assert.equal(turns.isIdle, true);
});

test('Turns.run() goes on after work that fails', async () => {
  const turns = new Turns(1);
  const failed = turns.run(() => Promise.reject(new Error('it broke')));
  const next = turns.run(() => Promise.resolve('next'));
  await assert.rejects(failed, /it broke/);
  assert.equal(await next, 'next');
  assert.equal(turns.isIdle, true);
});
