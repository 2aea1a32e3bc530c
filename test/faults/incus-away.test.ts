import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, openWorld, type World } from './world.ts';

type Info = { reachable: boolean; unreachable_reason: string | null; unreachable_since: string | null };

const WAYS: Readonly<
  Record<string, { go: (world: World) => Promise<void>; back: (world: World) => Promise<void> }>
> = {
  'its socket is gone': {
    go: ({ incus }) => incus.goAway('goes'),
    back: ({ incus }) => incus.comeBack(),
  },
  'its socket refuses': {
    go: ({ incus }) => incus.goAway('stays'),
    back: ({ incus }) => incus.comeBack(),
  },
  'it answers 503': {
    go: async ({ incus }) => {
      incus.faults.apiError = { status: 503, message: 'Shutting down' };
      incus.cutSessions();
    },
    back: async ({ incus }) => {
      incus.faults.apiError = undefined;
    },
  },
};

for (const [name, { go, back }] of Object.entries(WAYS)) {
  test(`Incus is away (${name}): uploads are accepted, no attempt is spent, and it goes on by itself`, async (t) => {
    const world = await openWorld(t, { args: ['--max-attempts', '1'] });
    const { daemon } = world;
    const waitsMs: number[] = [];
    // Three rounds, since on a busy machine a second may pass in which nothing runs.
    for (let round = 0; round < 3; round += 1) {
      await world.untilState(await world.upload('c1', '/opt/before', 'x'), 'delivered');
      await go(world);
      const ids = [
        await world.upload('c1', '/opt/small', `small ${round}`),
        await world.upload('c1', '/opt/large', `large ${round}`.repeat(20_000)),
      ];
      await eventually(
        () => 'the daemon notices',
        async () => !((await daemon.get('/v1/info')) as Info).reachable,
      );
      const info = (await daemon.get('/v1/info')) as Info;
      assert.ok(info.unreachable_reason !== null && info.unreachable_since !== null);
      const ready = await world.text('/readyz');
      assert.match(ready, /deliveries wait: ./);
      // Some probes later it is still so.
      const { length } = daemon.log();
      const third = await world.upload('c1', '/opt/third', `third ${round}`);
      assert.doesNotMatch(daemon.log().slice(length), /go on/);
      for (const id of [...ids, third]) {
        const job = await world.until(id, 'is queued', (seen) => seen.state === 'queued');
        assert.equal(job.attempts, 0);
        assert.deepEqual(job.error, null);
      }
      await back(world);
      const backMs = Date.now();
      const started: number[] = [];
      for (const id of [...ids, third]) {
        const job = await world.untilState(id, 'delivered');
        assert.equal(job.attempts, 1);
        started.push(Date.parse(job.finished_at ?? ''));
      }
      waitsMs.push(Math.min(...started) - backMs);
      assert.equal(world.content('c1', '/opt/third'), `third ${round}`);
      assert.equal(await world.text('/readyz'), 'ready\n');
      assert.equal(((await daemon.get('/v1/info')) as Info).reachable, true);
    }
    assert.deepEqual(world.temporaries(), []);
    assert.ok(Math.min(...waitsMs) <= 2000, `deliveries went on after ${waitsMs.join(', ')} ms`);
  });
}

test('Incus is away from the start: the daemon starts, says so, accepts, and delivers later', async (t) => {
  const world = await openWorld(t);
  await world.daemon.kill();
  await world.incus.goAway('goes');
  await world.daemon.start();
  await eventually(
    () => 'the daemon says so',
    async () => !((await world.daemon.get('/v1/info')) as Info).reachable,
  );
  assert.match(await world.text('/readyz'), /deliveries wait: .*there is no socket/);
  const id = await world.upload('c1', '/opt/f', 'x');
  await world.incus.comeBack();
  assert.equal((await world.untilState(id, 'delivered')).attempts, 1);
});

for (const socket of ['goes', 'stays'] as const) {
  test(`an idle daemon notices that Incus went away (its socket ${socket}) and that it is back`, async (t) => {
    const world = await openWorld(t);
    const { daemon, incus } = world;
    const isReachable = async (): Promise<boolean> => ((await daemon.get('/v1/info')) as Info).reachable;
    await eventually(
      () => 'the daemon listens for events',
      () => incus.eventClients > 0,
    );
    assert.equal(await isReachable(), true);
    await incus.goAway(socket);
    await eventually(
      () => 'the daemon notices',
      async () => !(await isReachable()),
    );
    await incus.comeBack();
    await eventually(() => 'the daemon notices that it is back', isReachable);
  });
}

test('an instance in transition is tried again at its lifecycle event, long before its time', async (t) => {
  const world = await openWorld(t, { args: ['--retry-min-delay', '10m', '--retry-max-delay', '20m'] });
  const { incus } = world;
  await eventually(
    () => 'the daemon listens for events',
    () => incus.eventClients > 0,
  );
  incus.faults.httpError = { status: 500, message: 'Instance is not running' };
  const ids = [await world.upload('c1', '/opt/f', 'x')];
  const deferred = await world.untilState(ids[0] as string, 'deferred');
  assert.equal(deferred.error?.code, 'instance_unavailable');
  ids.push(await world.upload('c1', '/opt/g', 'y'));
  incus.faults.httpError = undefined;
  incus.emit('instance-started', 'default', 'another');
  incus.emit('instance-started', 'default', 'c1');
  for (const id of ids) await world.untilState(id, 'delivered');
  assert.ok(Date.now() < Date.parse(deferred.next_attempt_at ?? ''));
});
