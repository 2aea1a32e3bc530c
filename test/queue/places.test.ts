import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferredPromise } from '../../src/base/deferred-promise.ts';
import { Lane } from '../../src/queue/lane.ts';
import { Places } from '../../src/queue/places.ts';
import { untilDoneOrStalled } from '../../src/queue/until-stalled.ts';

const lane = (name: string) =>
  new Lane(name, { after: () => undefined, pull: () => undefined, onDeferred: () => undefined });

test('Places.give() runs units in their places and tells when one has ended', async () => {
  const ended: string[] = [];
  const places = new Places(1, ({ name }) => void ended.push(name));
  const first = createDeferredPromise<void>();
  const a = lane('a');
  const b = lane('b');
  const second = createDeferredPromise<void>();
  places.give({ lane: a, work: () => first.promise, progress: () => 0 });
  assert.equal(places.isFree, false);
  places.give({ lane: b, work: async () => second.resolve(), progress: () => 0 });
  assert.deepEqual([a.running, b.running], [1, 1]);
  first.resolve();
  await second.promise;
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(ended, ['a', 'b']);
  assert.deepEqual([a.running, b.running], [0, 0]);
});

test('Places: a unit that stands still gives its place to others, but stays one of its lane', async () => {
  const places = new Places(1, () => undefined);
  const hung = createDeferredPromise<void>();
  const ran = createDeferredPromise<void>();
  const stuck = lane('stuck');
  places.give({ lane: stuck, work: () => hung.promise, progress: () => 7 });
  places.give({ lane: lane('other'), work: async () => ran.resolve(), progress: () => 0 });
  await ran.promise;
  assert.equal(stuck.running, 1);
  hung.resolve();
});

test('untilDoneOrStalled() waits as long as there is progress', async () => {
  const done = createDeferredPromise<void>();
  let calls = 0;
  let over = false;
  const waiting = untilDoneOrStalled(
    done.promise,
    () => {
      calls += 1;
      if (calls === 5) done.resolve();
      return calls;
    },
    5,
  ).then(() => {
    over = true;
  });
  assert.equal(over, false);
  await waiting;
  assert.ok(calls >= 5);
});
