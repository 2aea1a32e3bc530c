import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createArchive } from '../delivery/tree-builder.ts';
import { openWorld } from './world.ts';

const FILES = 120;

for (const [point, times] of [
  ['before-rename', 1],
  ['before-rename', FILES / 2],
  ['after-rename', 1],
] as const) {
  test(`a daemon killed at ${point} ${times} of an archive unpacks it whole, in its place in the order`, async (t) => {
    const world = await openWorld(t);
    const { daemon, incus } = world;
    await world.untilState(await world.upload('c1', '/opt/a/7', 'older'), 'delivered');
    await daemon.kill();
    world.crashAt(point, times);
    incus.faults.httpError = { status: 503, message: 'Shutting down' };
    await daemon.start();
    const entries = Array.from({ length: FILES }, (_, i) => ({
      name: String(i),
      content: `file ${i} `.repeat(i),
    }));
    const archive = await world.upload('c1', '/opt/a/', createArchive(entries), { 'X-Extract': 'tar' });
    const later = await world.upload('c1', '/opt/a/8', 'later');
    incus.faults.httpError = undefined;
    await world.untilCrashed();
    for (const { name, content } of entries) {
      const seen = world.content('c1', `/opt/a/${name}`);
      if (name !== '7' || seen !== 'older')
        assert.ok(seen === undefined || seen === content, `${name} is torn`);
    }
    await daemon.start();
    await world.untilState(archive, 'delivered');
    await world.untilState(later, 'delivered');
    for (const { name, content } of entries)
      assert.equal(world.content('c1', `/opt/a/${name}`), name === '8' ? 'later' : content);
    assert.deepEqual(world.temporaries(), []);
  });
}
