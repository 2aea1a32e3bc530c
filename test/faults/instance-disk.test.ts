import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { FakeFaults } from '../support/fake-incus.ts';
import { openWorld } from './world.ts';

const SLOW_MS = 3000;

async function fillUp(t: TestContext, fault: FakeFaults, size: number): Promise<void> {
  const world = await openWorld(t, { args: ['--slow-retry-delay', `${SLOW_MS}ms`] });
  const { incus } = world;
  await world.untilState(await world.upload('c1', '/opt/f', 'old'), 'delivered');
  Object.assign(incus.faults, fault);
  const bytes = 'n'.repeat(size);
  const id = await world.upload('c1', '/opt/f', bytes);
  const deferred = await world.untilState(id, 'deferred');
  assert.equal(deferred.error?.code, 'instance_disk_full');
  assert.equal(deferred.error?.retryable, true);
  assert.equal(deferred.delivered_path, null);
  const waitMs = Date.parse(deferred.next_attempt_at ?? '') - Date.parse(deferred.updated_at);
  assert.ok(waitMs >= SLOW_MS, `it is tried again after ${waitMs} ms`);
  assert.equal(world.content('c1', '/opt/f'), 'old', 'a short file is to be seen');
  assert.deepEqual(world.temporaries(), []);

  incus.faults.diskBytes = undefined;
  const done = await world.untilState(id, 'delivered');
  assert.ok(done.attempts >= 2);
  assert.equal(world.content('c1', '/opt/f'), bytes);
  assert.deepEqual(world.temporaries(), []);
}

test('a full disk of an instance defers the job with the slow delay; it is delivered when there is room', (t) =>
  fillUp(t, { diskBytes: 100_000 }, 300_000));

test('a full disk of an instance is seen for a small file too', (t) => fillUp(t, { diskBytes: 3 }, 100));

test('a write that an instance loses without a word is no delivery', (t) =>
  fillUp(t, { diskBytes: 100_000, loseWrites: true }, 300_000));

test('a small file that an instance loses without a word is no delivery', (t) =>
  fillUp(t, { diskBytes: 0, loseWrites: true }, 100));
