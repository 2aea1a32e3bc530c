import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReleaseStack } from '../../src/base/release-stack.ts';

test('release() runs everything in reverse order, one after the other', async () => {
  const told: string[] = [];
  const stack = new ReleaseStack();
  stack.defer(() => told.push('first'));
  stack.defer(async () => {
    await new Promise(setImmediate);
    told.push('second');
  });
  await stack.release();
  assert.deepEqual(told, ['second', 'first']);
  await stack.release();
  assert.equal(told.length, 2);
});

test('release() goes on after failures and throws the first', async () => {
  let released = false;
  const stack = new ReleaseStack();
  stack.defer(() => {
    released = true;
  });
  stack.defer(() => Promise.reject(new Error('later')));
  stack.defer(() => {
    throw new Error('sooner');
  });
  await assert.rejects(stack.release(), /sooner/);
  assert.equal(released, true);
});

test('release() also runs what is deferred while it runs', async () => {
  let released = false;
  const stack = new ReleaseStack();
  stack.defer(() =>
    stack.defer(() => {
      released = true;
    }),
  );
  await stack.release();
  assert.equal(released, true);
});
