import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually, openWorld } from './world.ts';

test('a daemon killed in the middle of a delivery removes what it left before it delivers again', async (t) => {
  for (const bytes of ['small', 'large'.repeat(50_000)]) {
    const world = await openWorld(t, { crashAt: 'before-rename' });
    const id = await world.upload('c1', '/opt/f', bytes);
    await world.untilCrashed();
    assert.equal(world.temporaries().length, 1);
    assert.equal(world.content('c1', '/opt/f'), undefined);
    await world.daemon.start();
    const job = await world.untilState(id, 'delivered');
    assert.deepEqual(world.temporaries(), []);
    assert.equal(world.content('c1', '/opt/f'), bytes);
    assert.equal(job.attempts, 1);
  }
});

test('what the delivery of an upload left that was never accepted is removed after the next start', async (t) => {
  const world = await openWorld(t);
  const MIB = 1 << 20;
  const piece = Buffer.alloc(MIB, 'x');
  // Only an upload that arrives fast is delivered while it arrives; on a busy machine that may take some tries.
  for (let tries = 0; world.temporaries().length === 0; tries += 1) {
    assert.ok(tries < 30, 'no upload was delivered while it arrived');
    const upload = world.beginUpload('c1', `/opt/f${tries}`, 256 * MIB);
    for (let sent = 0; sent < 6; sent += 1) {
      if (!upload.write(piece)) await new Promise((resolve) => upload.once('drain', resolve));
    }
    // A trickle, so that it does not count as stalled.
    for (let looks = 0; looks < 20 && world.temporaries().length === 0; looks += 1) {
      upload.write(piece.subarray(0, 64 * 1024));
      await delay(20);
    }
    if (world.temporaries().length > 0) await world.daemon.kill();
    upload.destroy();
  }
  assert.equal(world.temporaries().length, 1);
  await world.daemon.start();
  await eventually(
    () => `the temporary file goes: ${world.temporaries().join(', ')}`,
    () => world.temporaries().length === 0,
  );
  assert.deepEqual(await world.daemon.jobs(''), []);
});

test('a job that was delivered but not written down is delivered again: same bytes, same place', async (t) => {
  const world = await openWorld(t, { crashAt: 'after-rename' });
  const { incus } = world;
  const id = await world.upload('c1', '/opt/f', 'first');
  await world.untilCrashed();
  assert.equal(world.content('c1', '/opt/f'), 'first');
  await world.daemon.start();
  const job = await world.untilState(id, 'delivered');
  assert.equal(job.attempts, 1);
  assert.equal(job.delivered_path, '/opt/f');
  assert.equal(world.content('c1', '/opt/f'), 'first');
  const renames = incus.operations.filter(({ op }) => op === 'rename').map(({ to }) => to);
  assert.deepEqual(renames, ['/opt/f', '/opt/f']);
  assert.deepEqual(world.temporaries(), []);
});

test('a job that is delivered again goes before later ones for its path', async (t) => {
  const world = await openWorld(t, { crashAt: 'after-rename' });
  const { incus } = world;
  incus.faults.httpError = { status: 503, message: 'Shutting down' };
  const ids = [
    await world.upload('c1', '/opt/f', 'first'),
    await world.upload('c1', '/opt/f', 'second'),
    await world.upload('c1', '/opt/f', 'third'),
  ];
  incus.faults.httpError = undefined;
  await world.untilCrashed();
  assert.equal(world.content('c1', '/opt/f'), 'first');
  await world.daemon.start();
  for (const id of ids) await world.untilState(id, 'delivered');
  assert.equal(world.content('c1', '/opt/f'), 'third');
  const finished = await Promise.all(ids.map(async (id) => (await world.job(id)).finished_at ?? ''));
  assert.deepEqual(finished, [...finished].sort());
});

test('an older job never replaces the file of a later one, not even when it is retried', async (t) => {
  const world = await openWorld(t);
  const { incus } = world;
  incus.faults.statusFor = { open: { status: 3, text: 'permission denied' } };
  const older = await world.upload('c1', '/opt/f', 'older');
  await world.untilState(older, 'failed');
  incus.faults.statusFor = undefined;
  await world.untilState(await world.upload('c1', '/opt/f', 'later'), 'delivered');
  const answer = await world.post(`/v1/jobs/${older}/retry`);
  assert.equal(answer.status, 409);
  assert.equal((await world.job(older)).state, 'failed');
  assert.equal(world.content('c1', '/opt/f'), 'later');
  // One that was queued again before the later one came is overtaken by nobody.
  await world.daemon.kill();
  await world.daemon.start();
  assert.equal(world.content('c1', '/opt/f'), 'later');
});

test('a rename that an instance does late never undoes what a later job has delivered', async (t) => {
  const world = await openWorld(t, { args: ['--delivery-timeout', '1s', '--max-attempts', '1'] });
  const { incus } = world;
  let goOn = (): void => undefined;
  incus.faults.late = {
    op: 'rename',
    until: new Promise((resolve) => {
      goOn = resolve;
    }),
  };
  const older = await world.upload('c1', '/opt/f', 'older');
  await eventually(
    () => 'its rename hangs',
    () => incus.operations.some(({ op }) => op === 'rename'),
  );
  incus.faults.late = undefined;
  const later = await world.upload('c1', '/opt/f', 'later');
  assert.equal((await world.untilState(older, 'failed')).error?.code, 'timed_out');
  await world.untilState(later, 'delivered');
  goOn();
  await eventually(
    () => `the temporary file goes: ${world.temporaries().join(', ')}`,
    () => world.temporaries().length === 0,
  );
  assert.equal(world.content('c1', '/opt/f'), 'later');
});
