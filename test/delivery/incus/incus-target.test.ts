import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { until } from '../delivery-builder.ts';
import { type FakeWorld, openFakeWorld } from './fake-world.ts';

let world: FakeWorld;
beforeEach(async () => {
  world = await openFakeWorld();
});
afterEach(() => world.close());

describe('IncusTarget', () => {
  it('probe() says why Incus cannot be reached, in time', async () => {
    const { fake, target } = world;
    assert.deepEqual(await target.probe(1000), { reachable: true });
    fake.faults.apiError = { status: 503, message: 'Shutting down' };
    assert.deepEqual(await target.probe(1000), { reachable: false, reason: 'Shutting down' });
    fake.faults.apiError = undefined;
    fake.faults.hangApi = true;
    const startedAt = performance.now();
    assert.equal((await target.probe(100)).reachable, false);
    assert.ok(performance.now() - startedAt < 1000);
    await fake.goAway('goes');
    const gone = await target.probe(1000);
    assert.ok(!gone.reachable && gone.reason.includes(fake.socketPath));
  });

  it('instances() lists one project or all', async () => {
    world.fake.addInstance('shop', 'web');
    assert.deepEqual(await world.target.instances('shop'), [{ project: 'shop', instance: 'web' }]);
    assert.deepEqual((await world.target.instances(undefined)).length, 2);
  });

  it('instances() says that Incus does not answer', async () => {
    const { fake, target } = world;
    fake.faults.apiError = { status: 503, message: 'Shutting down' };
    await assert.rejects(target.instances('default'), {
      code: 'target_unreachable',
      message: /^Incus does not tell its instances: .*Shutting down/,
    });
    fake.faults.apiError = undefined;
    await fake.goAway('goes');
    await assert.rejects(target.configuredInstances('default'), { code: 'target_unreachable' });
  });

  it('removeTemporary() is false when that could not be told', async () => {
    const { fake, target, host } = world;
    fs.writeFileSync(host('/opt/left'), '');
    await fake.goAway('goes');
    assert.equal(await target.removeTemporary('default', 'c1', '/opt/left'), false);
    await fake.comeBack();
    fake.faults.statusFor = { remove: { status: 4, text: 'read-only file system' } };
    assert.equal(await target.removeTemporary('default', 'c1', '/opt/left'), false);
    fake.faults.statusFor = undefined;
    assert.equal(await target.removeTemporary('default', 'c1', '/opt/left'), true);
    assert.equal(await target.removeTemporary('no-such', 'c1', '/opt/left'), true);
  });

  it('close() ends what is under way', async () => {
    const { fake, target, deliver } = world;
    fake.faults.hangAt = 'open';
    const delivering = deliver({});
    await until('it opens', () => fake.operations.some(({ op }) => op === 'open'));
    await target.close();
    const outcome = await delivering;
    assert.ok(outcome.kind === 'transient' && outcome.error.code === 'connection_lost');
    await until('the session is closed', () => fake.openSessions === 0);
    const refused = await deliver({});
    assert.equal(refused.kind, 'transient');
  });
});
