import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createInlineSource } from '../../../src/delivery/payload-source.ts';
import type { FakeFaults } from '../../support/fake-incus.ts';
import { assertFailed, temporariesBelow } from '../contract-world.ts';
import { createReadSource, patternBytes, until } from '../delivery-builder.ts';
import { assertTransient, deliverWithFaults } from './deliver-with-faults.ts';
import { type FakeWorld, openFakeWorld } from './fake-world.ts';

const large: Buffer = patternBytes(3 * 1024 * 1024);

let world: FakeWorld;
beforeEach(async () => {
  world = await openFakeWorld();
});
afterEach(() => world.close());

const deliverWith = (faults: FakeFaults, bytes?: Buffer, inline?: boolean) =>
  deliverWithFaults(world, faults, bytes, inline);

describe('deliverOverSftp() when the instance refuses', () => {
  it('tells a full disk, however it shows', async () => {
    for (const inline of [true, false]) {
      for (const loseWrites of [false, true]) {
        for (const diskBytes of [0, 1000, 2_000_000]) {
          const outcome = await deliverWith({ diskBytes, loseWrites }, large, inline);
          assertTransient(outcome, 'instance_disk_full', 'job', false);
          assert.ok(outcome.kind === 'transient' && outcome.slow);
          assert.deepEqual(temporariesBelow(world.host('/')), []);
        }
      }
    }
  });

  it('removes the temporary file whatever step was refused', async () => {
    for (const op of ['fsetstat', 'write', 'fstat', 'close', 'rename']) {
      const statusFor = { [op]: { status: 4, text: `${op} /x: read-only file system` } };
      assertFailed(await deliverWith({ statusFor }), 'permanent', 'permission_denied');
      assert.deepEqual(temporariesBelow(world.host('/')), [], op);
    }
  });

  it('takes "file exists" at the rename for a directory', async () => {
    const statusFor = { rename: { status: 4, text: 'rename /a /b: file exists' } };
    assertFailed(await deliverWith({ statusFor }), 'permanent', 'destination_is_directory');
  });

  it('leaves a foreign file of the temporary name alone', async () => {
    fs.writeFileSync(world.host('/opt/foreign'), 'precious');
    const outcome = await world.deliver({ temporaryName: 'foreign' });
    assertTransient(outcome, 'instance_unavailable', 'job', false);
    assert.equal(fs.readFileSync(world.host('/opt/foreign'), 'utf8'), 'precious');
  });

  it('says that the temporary file may be left when it cannot be removed', async () => {
    const refused = { status: 3, text: 'permission denied' };
    assert.deepEqual(
      (await deliverWith({ statusFor: { write: refused, remove: refused } })).kind === 'permanent' &&
        temporariesBelow(world.host('/')).length,
      1,
    );
  });

  it('delivers without setuid where the server drops it', async () => {
    world.fake.faults.dropSpecialBits = true;
    assert.equal((await world.deliver({ mode: 0o4755 })).kind, 'delivered');
    assert.equal(fs.statSync(world.host('/opt/file')).mode & 0o7777, 0o755);
  });
});

describe('deliverOverSftp() in order', () => {
  it('closes the file to others before any data, and renames after all else', async () => {
    await world.deliver({ mode: 0o4711, uid: 7, gid: 8, payload: createReadSource(large) });
    const operations = world.fake.operations.filter(({ op }) => op !== 'init');
    const at = (holds: (operation: (typeof operations)[number]) => boolean) => operations.findIndex(holds);
    const protect = at(({ op, change }) => op === 'fsetstat' && change.mode === 0o600);
    const owner = at(({ op, change }) => op === 'fsetstat' && change.uid === 7 && change.gid === 8);
    const mode = at(({ op, change }) => op === 'fsetstat' && change.mode === 0o4711);
    const firstWrite = at(({ op }) => op === 'write');
    const lastWrite = operations.findLastIndex(({ op }) => op === 'write');
    const order = [
      protect,
      firstWrite,
      lastWrite,
      at(({ op }) => op === 'fstat'),
      owner,
      mode,
      at(({ op }) => op === 'close'),
    ];
    assert.ok(order.every((place) => place >= 0));
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
    assert.equal(operations.at(-1)?.op, 'rename');
  });

  it('works when answers are late, or the last ones come first', async () => {
    for (const faults of [{ delayMs: 5 }, { delayMs: undefined, reverseAnswers: true }]) {
      Object.assign(world.fake.faults, faults);
      const paths = Array.from({ length: 30 }, (_, at) => `/opt/many/${at}`);
      const small = paths.map((path) =>
        world.deliver({ path, payload: createInlineSource(Buffer.from(path)) }),
      );
      const one = world.deliver({ path: '/opt/large', payload: createReadSource(large) });
      for (const outcome of await Promise.all([...small, one])) assert.equal(outcome.kind, 'delivered');
      for (const path of paths) assert.equal(fs.readFileSync(world.host(path), 'utf8'), path);
      assert.ok(fs.readFileSync(world.host('/opt/large')).equals(large));
    }
  });

  it('small files share a session, which ends when there is no more work', async () => {
    await Promise.all(Array.from({ length: 100 }, (_, at) => world.deliver({ path: `/opt/${at}` })));
    assert.equal(world.fake.sessionCount, 1);
    const idleSince = performance.now();
    await until('the session is closed', () => world.fake.openSessions === 0);
    assert.ok(performance.now() - idleSince < 1000);
  });
});
