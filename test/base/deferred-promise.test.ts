import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferredPromise } from '../../src/base/deferred-promise.ts';

test('createDeferredPromise() is settled from outside, once', async () => {
  const kept = createDeferredPromise<number>();
  kept.resolve(1);
  kept.reject(new Error('too late'));
  assert.equal(await kept.promise, 1);
  const broken = createDeferredPromise<number>();
  broken.reject(new Error('no'));
  await assert.rejects(broken.promise, /no/);
});
