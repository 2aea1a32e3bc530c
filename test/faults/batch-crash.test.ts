/** A batch and a daemon that ends by SIGKILL at each point of its way: all of its jobs are there afterwards, or none. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkSpool } from '../../src/spool/fsck.ts';
import type { Daemon } from '../support/programs.ts';
import { eventually, openWorld } from './world.ts';

const INSTANCES = ['c1', 'c2', 'c3'];
const POINTS: readonly (readonly [point: string, times: number])[] = [
  ['payload-synced', 1],
  ['before-commit', 1],
  ['after-commit', 1],
  ['answered', 1],
  ['delivering', 2],
  ['before-rename', 2],
  ['after-rename', 1],
  ['after-rename', 3],
  ['recorded', 1],
  ['recorded', 2],
  ['recorded', 3],
];

/** Sends the batch; resolves to its id, or to undefined when the daemon ended before it answered. */
function send(daemon: Daemon, key: string, body: Buffer): Promise<string | undefined> {
  return new Promise((resolve) => {
    const headers = {
      'X-Container-Name': 'c*',
      'X-File-Path': '/f',
      'Idempotency-Key': key,
      'Content-Length': body.length,
    };
    const sent = request({ socketPath: daemon.socketPath, method: 'POST', path: '/upload', headers });
    sent.on('error', () => resolve(undefined));
    sent.on('response', (response) => {
      response.resume();
      response.on('error', () => undefined);
      resolve(response.headers['x-batch-id'] as string | undefined);
    });
    sent.end(body);
  });
}

for (const size of [1000, 200_000]) {
  for (const [point, times] of POINTS) {
    // What differs for a small payload is where it is kept.
    if (size === 1000 && !['before-commit', 'after-commit', 'recorded'].includes(point)) continue;
    test(`a batch of ${size} bytes survives kill -9 at ${point}, the ${times}. time`, async (t) => {
      const world = await openWorld(t, {
        args: ['--linger', '0s', '--concurrency', '1'],
        instances: INSTANCES,
        crashAt: point,
      });
      const { daemon } = world;
      if (times > 1) {
        await daemon.stop();
        world.crashAt(point, times);
        await daemon.start();
      }
      const body = Buffer.alloc(size, randomUUID());
      const key = randomUUID();
      const answered = await send(daemon, key, body);
      await world.untilCrashed();
      await daemon.start();

      const kept = await daemon.jobs('');
      assert.ok([0, INSTANCES.length].includes(kept.length), `${kept.length} jobs`);
      if (answered !== undefined) assert.ok(kept.every(({ batch }) => batch === answered) && kept.length > 0);
      // A sender that saw no answer asks again.
      const batch = await send(daemon, key, body);
      assert.ok(batch !== undefined && (answered === undefined || batch === answered));
      await daemon.untilIdle();
      const jobs = await daemon.jobs('');
      assert.deepEqual(
        jobs.map((job) => [job.instance, job.state, job.batch]),
        INSTANCES.toReversed().map((instance) => [instance, 'delivered', batch]),
      );
      for (const instance of INSTANCES) assert.equal(world.content(instance, '/f'), body.toString());
      await eventually(
        () => 'the payload is gone',
        () => readdirSync(join(daemon.stateDir, 'payloads')).length === 0,
      );
      await daemon.stop();
      const findings: string[] = [];
      await checkSpool({
        stateDir: daemon.stateDir,
        repair: false,
        nowMs: Date.now(),
        onFinding: ({ message }) => findings.push(message),
      });
      assert.deepEqual(findings, []);
    });
  }
}
