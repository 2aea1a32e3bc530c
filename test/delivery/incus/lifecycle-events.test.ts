import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { decodeLifecycleEvent } from '../../../src/delivery/incus/lifecycle-events.ts';
import type { TargetEvent } from '../../../src/delivery/target.ts';
import { until } from '../delivery-builder.ts';
import { type FakeWorld, openFakeWorld } from './fake-world.ts';

let world: FakeWorld;
beforeEach(async () => {
  world = await openFakeWorld();
});
afterEach(() => world.close());

describe('watchLifecycle()', () => {
  it('tells which instance woke up, and nothing else', async () => {
    const events: TargetEvent[] = [];
    const stop = world.target.watch((event) => events.push(event));
    await until('it is connected', () => world.fake.eventClients === 1);
    world.fake.emit('instance-file-pushed', 'default', 'c1');
    world.fake.emit('instance-started', 'shop', 'web');
    world.fake.emit('instance-ready', 'default', `c${'1'.repeat(60)}`);
    await until('two are told', () => events.length >= 2);
    assert.deepEqual(events, [
      { kind: 'instance', project: 'shop', instance: 'web' },
      { kind: 'instance', project: 'default', instance: `c${'1'.repeat(60)}` },
    ]);
    stop();
    await until('it is disconnected', () => world.fake.eventClients === 0);
  });

  it('tells that Incus may be away, and that it is back', async () => {
    const events: TargetEvent[] = [];
    const stop = world.target.watch((event) => events.push(event));
    await until('it is connected', () => world.fake.eventClients === 1);
    assert.equal(events.length, 0);
    await world.fake.goAway('stays');
    await world.fake.comeBack();
    await until('it is connected again', () => world.fake.eventClients === 1);
    await until('it is told', () => events.length >= 2);
    assert.deepEqual(new Set(events.map(({ kind }) => kind)), new Set(['target']));
    const { length } = events;
    world.fake.emit('instance-resumed', 'default', 'c1');
    await until('events go on', () => events.length > length);
    assert.equal(events.at(-1)?.kind, 'instance');
    stop();
  });

  it('waits for an Incus that is not there yet, and stops when told to', async () => {
    await world.fake.goAway('goes');
    const events: TargetEvent[] = [];
    const stop = world.target.watch((event) => events.push(event));
    await world.fake.comeBack();
    await until('it is told', () => events.some(({ kind }) => kind === 'target'));
    stop();
    stop();
    await until('it is disconnected', () => world.fake.eventClients === 0);
  });
});

describe('decodeLifecycleEvent()', () => {
  const decode = (message: unknown) => decodeLifecycleEvent(JSON.stringify(message));

  it('finds the instance in older messages too', () => {
    assert.deepEqual(decode({ metadata: { action: 'instance-started', source: '/1.0/instances/c1' } }), {
      kind: 'instance',
      instance: 'c1',
      project: 'default',
    });
    assert.deepEqual(
      decode({
        project: 'p',
        metadata: { action: 'instance-started', source: '/1.0/instances/c1?project=p' },
      }),
      { kind: 'instance', instance: 'c1', project: 'p' },
    );
  });

  it('takes no harm from anything else', () => {
    for (const message of [
      null,
      1,
      'x',
      [],
      {},
      { metadata: null },
      { metadata: { action: 'instance-started' } },
    ]) {
      assert.equal(decode(message), undefined);
    }
    assert.equal(decodeLifecycleEvent('{'), undefined);
  });
});
