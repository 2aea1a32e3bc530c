import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FakeFaults } from '../support/fake-incus.ts';
import { openWorld, type World } from './world.ts';

const STEPS = {
  VERSION: 'noVersion',
  lstat: 'hangAt',
  open: 'hangAt',
  fsetstat: 'hangAt',
  write: 'hangAt',
  fstat: 'hangAt',
  close: 'hangAt',
  rename: 'hangAt',
} as const satisfies Record<string, keyof FakeFaults>;

/** A fault that only one instance has: what it is asked is noted just before the fault is looked at. */
function hang({ incus }: World, step: keyof typeof STEPS): { end: () => void } {
  let isOn = true;
  Object.defineProperty(incus.faults, STEPS[step], {
    configurable: true,
    get: () => {
      const hangs = isOn && incus.operations.at(-1)?.instance === 'hung';
      return STEPS[step] === 'noVersion' ? hangs : hangs ? step : undefined;
    },
  });
  return {
    end: () => {
      isOn = false;
    },
  };
}

for (const step of Object.keys(STEPS) as (keyof typeof STEPS)[]) {
  test(`an instance that hangs at ${step} blocks only its own lane, and not for ever`, async (t) => {
    const world = await openWorld(t, {
      args: ['--delivery-timeout', '1s', '--max-attempts', '1000'],
      instances: ['hung', 'fine'],
    });
    const fault = hang(world, step);
    const hung = [
      await world.upload('hung', '/opt/large', 'l'.repeat(300_000)),
      await world.upload('hung', '/opt/small', 's'),
      await world.upload('hung', '/opt/small', 's2'),
    ];
    for (let i = 0; i < 10; i += 1) {
      await world.untilState(await world.upload('fine', `/opt/f${i}`, String(i)), 'delivered');
    }
    const failed = await world.until(hung[0] as string, 'has failed', (job) => job.attempts >= 1);
    const seen = await world.until(failed.id, 'says why', (job) => job.error !== null);
    assert.equal(seen.error?.code, 'timed_out');
    assert.equal(world.content('hung', '/opt/large'), undefined);
    assert.equal(world.content('hung', '/opt/small'), undefined);
    fault.end();
    for (const id of hung) await world.untilState(id, 'delivered');
    assert.equal(world.content('hung', '/opt/large'), 'l'.repeat(300_000));
    assert.equal(world.content('hung', '/opt/small'), 's2');
    assert.deepEqual(world.temporaries(), []);
  });
}

test('an instance whose request for SFTP is never answered blocks only its own lane, and not for ever', async (t) => {
  const world = await openWorld(t, { args: ['--delivery-timeout', '1s'], instances: ['hung', 'fine'] });
  let asked = 0;
  Object.defineProperty(world.incus.faults, 'hangBeforeUpgrade', {
    get: () => {
      asked += 1;
      return asked === 1;
    },
  });
  const hung = await world.upload('hung', '/opt/f', 'x');
  await world.until(hung, 'hangs', () => asked === 1);
  await world.untilState(await world.upload('fine', '/opt/f', 'y'), 'delivered');
  const done = await world.untilState(hung, 'delivered');
  assert.equal(done.attempts, 2);
  const { history } = (await world.daemon.get(`/v1/jobs/${hung}`)) as {
    history: { error: { code: string } | null }[];
  };
  assert.equal(history[0]?.error?.code, 'timed_out');
});

test('an Incus that never answers anything is noticed, and deliveries go on when it answers', async (t) => {
  const world = await openWorld(t, { args: ['--delivery-timeout', '1s', '--max-attempts', '1000'] });
  const { incus, daemon } = world;
  await daemon.stop();
  incus.faults.hangApi = true;
  await daemon.start();
  const id = await world.upload('c1', '/opt/f', 'x');
  await world.until(id, 'waits for Incus', () => daemon.log().includes('does not answer'));
  assert.match(await world.text('/readyz'), /deliveries wait/);
  incus.faults.hangApi = false;
  await world.untilState(id, 'delivered');
});
