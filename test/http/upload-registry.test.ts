import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ArrivingUpload, UploadRegistry } from '../../src/http/upload-registry.ts';

type World = { readonly registry: UploadRegistry; readonly ended: string[]; nowMs: number };

function createWorld(): World {
  const world: World = {
    registry: new UploadRegistry({ bodyTimeoutMs: () => 60_000 }),
    ended: [],
    nowMs: 1_000_000,
  };
  return world;
}

/** Adds an upload whose last byte came just now. */
function add(world: World, name: string, receivedBytes: number): ArrivingUpload & { paused: boolean } {
  const upload = {
    lastByteAtMs: world.nowMs,
    receivedBytes,
    paused: false,
    stall: () => assert.fail('no upload stalls here'),
    giveWay: () => {
      world.ended.push(name);
      world.registry.delete(upload);
    },
  };
  world.registry.add(upload);
  return upload;
}

function addMany(world: World, count: number, receivedBytes: number): void {
  for (let i = 0; i < count; i += 1) {
    add(world, `${i}`, receivedBytes);
    world.nowMs += 0.1;
  }
}

test('makeRoom() ends at once an upload that sent next to nothing, the longest silent first', () => {
  const world = createWorld();
  addMany(world, 100, 3);
  assert.equal(world.registry.makeRoom(world.nowMs), false, 'everybody may still be about to begin');
  world.nowMs += 60;
  assert.equal(world.registry.makeRoom(world.nowMs), true);
  assert.equal(world.registry.makeRoom(world.nowMs), true);
  assert.deepEqual(world.ended, ['0', '1']);
  world.registry.stop();
});

test('makeRoom() gives uploads that are on their way more time', () => {
  const world = createWorld();
  addMany(world, 100, 100_000);
  world.nowMs += 900;
  assert.equal(world.registry.makeRoom(world.nowMs), false);
  world.nowMs += 200;
  assert.equal(world.registry.makeRoom(world.nowMs), true);
  world.registry.stop();
});

test('makeRoom() ends nothing where only some are slow, and none that waits for us', () => {
  const world = createWorld();
  addMany(world, 64, 3);
  const paused = Array.from({ length: 100 }, (_, i) => add(world, `paused ${i}`, 3));
  for (const upload of paused) upload.paused = true;
  world.nowMs += 10_000;
  assert.equal(world.registry.makeRoom(world.nowMs), false);
  assert.deepEqual(world.ended, []);
  world.registry.stop();
});
