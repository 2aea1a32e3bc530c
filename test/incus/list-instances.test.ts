import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openTarget } from '../../src/delivery/open-target.ts';
import type { Target } from '../../src/delivery/target.ts';
import { incusSkipReason, openRealIncus, type RealIncus } from '../support/incus.ts';

const instance = `listed-${process.pid}`;

describe('The instances of a real Incus', { skip: incusSkipReason() ?? false }, () => {
  let incus: RealIncus;
  let target: Target;
  before(async () => {
    incus = await openRealIncus();
    target = openTarget(`unix:${incus.socketPath}`);
    await incus.incus('profile', 'create', instance);
    await incus.incus('profile', 'set', instance, 'user.tier=front');
    await incus.incus('launch', '-q', 'bb', instance, '-p', 'default', '-p', instance, '-c', 'user.role=web');
  });
  after(async () => {
    await target?.close();
    await incus?.incus('delete', '-f', instance);
    await incus?.incus('profile', 'delete', instance);
    await incus?.close();
  });

  it('configuredInstances() tells the configuration, that of profiles too', async () => {
    const found = (await target.configuredInstances('default')).find((one) => one.instance === instance);
    assert.equal(found?.project, 'default');
    assert.equal(found?.config.get('user.role'), 'web');
    assert.equal(found?.config.get('user.tier'), 'front');
    const all = await target.configuredInstances(undefined);
    assert.ok(all.some((one) => one.instance === instance && one.project === 'default'));
  });
});
