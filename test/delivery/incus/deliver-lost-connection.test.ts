/** `deliverOverSftp()` when Incus or the instance is silent, away or talks nonsense. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { countTakenBlocks } from '../../../src/base/aligned-blocks.ts';
import type { FakeFaults } from '../../support/fake-incus.ts';
import { assertFailed, temporariesBelow } from '../contract-world.ts';
import { createGate, createReadSource, patternBytes, until } from '../delivery-builder.ts';
import { assertTransient, deliverWithFaults } from './deliver-with-faults.ts';
import { type FakeWorld, openFakeWorld } from './fake-world.ts';

const large: Buffer = patternBytes(3 * 1024 * 1024);

let world: FakeWorld;
beforeEach(async () => {
  world = await openFakeWorld();
});
afterEach(async () => {
  await world.close();
  // Whatever went wrong, no memory of a payload stays behind.
  await until('every block is given back', () => countTakenBlocks() === 0);
});

const deliverWith = (faults: FakeFaults, bytes?: Buffer, inline?: boolean) =>
  deliverWithFaults(world, faults, bytes, inline);

describe('deliverOverSftp() before the session is there', () => {
  const API: [number, string, string, string][] = [
    [503, 'Shutting down', 'target_unreachable', 'target'],
    [500, 'Instance is not running', 'instance_unavailable', 'instance'],
    [500, 'Missing event connection with target cluster member', 'instance_unavailable', 'instance'],
    [500, 'dial unix forkfile.sock: connection reset by peer', 'connection_lost', 'instance'],
  ];
  for (const [status, message, code, scope] of API) {
    it(`tries again after ${status} ${message}`, async () => {
      assertTransient(await deliverWith({ httpError: { status, message } }), code, scope, false);
    });
  }

  it('gives up after 403 and 400', async () => {
    assertFailed(
      await deliverWith({ httpError: { status: 403, message: 'no' } }),
      'permanent',
      'permission_denied',
    );
    assertFailed(
      await deliverWith({ httpError: { status: 400, message: 'no' } }),
      'permanent',
      'bad_request',
    );
  });

  const FAULTS: [string, FakeFaults, string][] = [
    ['there is no answer 101', { hangBeforeUpgrade: true }, 'timed_out'],
    ['there is no VERSION', { noVersion: true }, 'timed_out'],
    ['the connection ends before VERSION', { eofBeforeVersion: true }, 'connection_lost'],
    ['there is garbage for VERSION', { versionBytes: Buffer.from('not SFTP at all') }, 'connection_lost'],
    ['VERSION is cut in half', { cutAfterBytes: 5 }, 'connection_lost'],
  ];
  it('counts an Incus that answers nothing at all as away', async () => {
    assertTransient(await deliverWith({ hangApi: true }), 'target_unreachable', 'target', false);
  });
  for (const [what, faults, code] of FAULTS) {
    it(`tries again when ${what}`, async () => {
      assertTransient(await deliverWith(faults), code, 'instance', false);
    });
  }

  it('knows that Incus is away, whether its socket is still there or not', async () => {
    for (const socketFile of ['stays', 'goes'] as const) {
      await world.fake.goAway(socketFile);
      const outcome = await world.deliver({});
      assertTransient(outcome, 'target_unreachable', 'target', false);
      assert.ok(outcome.kind !== 'delivered' && outcome.error.message.includes(world.fake.socketPath));
      await world.fake.comeBack();
    }
    assert.equal((await world.deliver({})).kind, 'delivered');
  });
});

describe('deliverOverSftp() when the helper stops answering', () => {
  for (const [op, left] of [
    ['lstat', false],
    ['open', true],
    ['fsetstat', true],
    ['write', true],
    ['fstat', true],
    ['close', true],
    ['rename', true],
  ] as const) {
    it(`ends within its time at ${op}`, async () => {
      assertTransient(await deliverWith({ hangAt: op }), 'timed_out', 'instance', left);
      await until('the session is closed', () => world.fake.openSessions === 0);
    });
  }

  it('ends within its time in the middle of the data', async () => {
    const outcome = await deliverWith({ hangAt: 'write', hangAfterWrites: 5 }, large, false);
    assertTransient(outcome, 'timed_out', 'instance', true);
    assert.equal(temporariesBelow(world.host('/')).length, 1);
  });

  it('says that the temporary file may be left when a rename was done but not confirmed', async () => {
    assertTransient(await deliverWith({ muteAt: 'rename' }), 'timed_out', 'instance', true);
    assert.equal(fs.readFileSync(world.host('/opt/file'), 'utf8'), 'new');
  });

  it('stops soon when told to, even so', async () => {
    world.fake.faults.hangAt = 'write';
    const controller = new AbortController();
    const delivering = world.deliver({ signal: controller.signal });
    await until('it writes', () => world.fake.operations.some(({ op }) => op === 'write'));
    const stoppedAt = performance.now();
    controller.abort();
    assertTransient(await delivering, 'cancelled', 'job', true);
    assert.ok(performance.now() - stoppedAt < 4000);
  });

  it('tells that it is delivered when the rename was done before the stop', async () => {
    world.fake.faults.delayMs = 50;
    const controller = new AbortController();
    const delivering = world.deliver({ signal: controller.signal });
    await until('it renames', () => world.fake.operations.some(({ op }) => op === 'rename'));
    controller.abort();
    assert.deepEqual(await delivering, { kind: 'delivered', path: '/opt/file' });
  });

  it('a session that stalled is given to nobody else', async () => {
    await deliverWith({ hangAt: 'fsetstat' });
    world.fake.faults.hangAt = undefined;
    assert.equal((await world.deliver({})).kind, 'delivered');
    assert.equal(world.fake.sessionCount, 2);
  });

  it('does not count the time in which it waits for more of the payload', async () => {
    const gate = createGate();
    const bytes = patternBytes(1000);
    let waiting = false;
    const delivering = world.deliver({
      timeoutMs: 500,
      payload: createReadSource(bytes, {
        read: async (buffer, offset) => {
          waiting = offset > 0;
          if (waiting) await gate.promise;
          return bytes.copy(buffer, 0, offset);
        },
      }),
    });
    await until('it waits for the payload', () => waiting);
    await new Promise((resolve) => setTimeout(resolve, 1200));
    gate.open();
    assert.equal((await delivering).kind, 'delivered');
  });
});

describe('deliverOverSftp() when the connection breaks', () => {
  for (const [op, left] of [
    ['lstat', false],
    ['open', true],
    ['write', true],
    ['rename', true],
  ] as const) {
    it(`says what may be left at ${op}`, async () => {
      assertTransient(await deliverWith({ cutAt: op }), 'connection_lost', 'instance', left);
    });
  }

  it('fails after any number of bytes, never showing a part', async () => {
    for (const cutAfterBytes of [20, 100, 200, 100_000, 1_000_000, 3_000_000]) {
      assertTransient(
        await deliverWith({ cutAfterBytes }, large, false),
        'connection_lost',
        'instance',
        cutAfterBytes > 20,
      );
    }
  });

  it('blames Incus, and not the instance, when Incus went away', async () => {
    const gate = createGate();
    const delivering = world.deliver({
      payload: createReadSource(large, {
        read: async (buffer, offset) => {
          if (offset > 0) await gate.promise;
          return large.copy(buffer, 0, offset);
        },
      }),
    });
    await until('it writes', () => world.fake.operations.some(({ op }) => op === 'write'));
    await world.fake.goAway('goes');
    // With every write answered, nothing but the next one can meet the lost connection.
    gate.open();
    assertTransient(await delivering, 'target_unreachable', 'target', true);
  });

  it('takes nonsense for a broken connection', async () => {
    const nonsense = [
      Buffer.from('HTTP/1.1 502 Bad Gateway\r\n\r\n'),
      Buffer.from([0x7f, 0xff, 0xff, 0xff, 101]),
    ];
    for (const bytes of [...nonsense, Buffer.from([0, 0, 0, 5, 101, 0xff, 0xff, 0xff, 0xff])]) {
      assertTransient(await deliverWith({ bytesFor: { open: bytes } }), 'connection_lost', 'instance', true);
    }
  });
});
