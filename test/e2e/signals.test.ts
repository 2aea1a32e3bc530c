import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { RawConnection, requestText } from '../http/raw-exchange.ts';
import { upload } from '../http/request.ts';
import {
  CLIENT,
  cleanEnvironment,
  createPlace,
  type Daemon,
  eventually,
  type Place,
  spawnDaemon,
  startDaemon,
} from './daemon.ts';

let places: Place[] = [];
let daemons: Daemon[] = [];
afterEach(async () => {
  for (const daemon of daemons) if (!daemon.isOver) daemon.signal('SIGKILL');
  await Promise.all(daemons.map(({ exited }) => exited));
  for (const place of places) place.remove();
  places = [];
  daemons = [];
});

function newPlace(instances?: readonly string[]): Place {
  const place = createPlace(instances);
  places.push(place);
  return place;
}

async function start(place: Place, ...args: string[]): Promise<Daemon> {
  const daemon = await startDaemon(place, args);
  daemons.push(daemon);
  return daemon;
}

type Ended = { readonly status: number | null; readonly stdout: string; readonly stderr: string };

function push(place: Place, ...args: string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLIENT, '--url', `unix:${place.socketPath}`, 'push', ...args], {
      env: cleanEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, stdout, stderr }));
  });
}

test('a file that the client pushes is delivered with its mode', async () => {
  const place = newPlace();
  await start(place);
  const source = join(place.directory, 'a file.bin');
  const bytes = randomBytes(300_000);
  writeFileSync(source, bytes, { mode: 0o640 });
  const pushed = await push(place, '--wait', '-q', source, 'web:/srv/deep/');
  assert.equal(pushed.status, 0, pushed.stderr);
  assert.match(pushed.stdout, /^[0-9a-z]{11}\n$/);
  assert.deepEqual(place.delivered('web', '/srv/deep/a file.bin'), bytes);
  assert.equal(statSync(join(place.target, 'web/srv/deep/a file.bin')).mode & 0o7777, 0o640);
});

/** A place whose target is not there yet, so that nothing can be delivered. */
function placeWithoutTarget(): Place {
  return newPlace([]);
}

function openTarget(place: Place): void {
  mkdirSync(join(place.target, 'web'), { recursive: true });
}

test('what was answered with 202 is delivered after kill -9, and its key is still known', async () => {
  const place = placeWithoutTarget();
  const first = await start(place);
  const bodies = [randomBytes(10), randomBytes(70_000), randomBytes(5 << 20)];
  const answers = await Promise.all(
    bodies.map((body, i) => upload(place.socketPath, 'web', `/f${i}`, body, { 'Idempotency-Key': `k${i}` })),
  );
  first.signal('SIGKILL');
  assert.equal(await first.exited, 'SIGKILL');
  assert.deepEqual(
    answers.map(({ status }) => status),
    [202, 202, 202],
  );
  openTarget(place);
  const second = await start(place);
  // A sender that never saw its answer asks again.
  const again = await upload(place.socketPath, 'web', '/f1', bodies[1] ?? '', { 'Idempotency-Key': 'k1' });
  assert.equal(again.headers['x-job-id'], answers[1]?.headers['x-job-id']);
  for (const [i, { headers }] of answers.entries()) {
    const id = String(headers['x-job-id']);
    await eventually(`job ${i} is delivered`, async () => (await second.job(id)).state === 'delivered');
    assert.deepEqual(place.delivered('web', `/f${i}`), bodies[i]);
  }
});

test('SIGTERM lets a body and the deliveries under way end, and loses nothing', async () => {
  const place = newPlace();
  const first = await start(place);
  const connection = await RawConnection.open(place.socketPath);
  const body = randomBytes(200_000);
  connection.send(
    requestText('POST', '/upload', {
      'X-Container-Name': 'web',
      'X-File-Path': '/slow',
      'Content-Length': String(body.length),
    }),
  );
  connection.send(body.subarray(0, 100_000));
  const others = await Promise.all(
    Array.from({ length: 60 }, (_, i) => upload(place.socketPath, 'web', `/f${i}`, Buffer.alloc(300_000, i))),
  );
  assert.ok(others.every(({ status }) => status === 202));
  first.signal('SIGTERM');
  await eventually('it is stopping', () => first.stderr.includes('stopping'));
  connection.send(body.subarray(100_000));
  assert.equal((await connection.answer(0)).status, 202);
  assert.equal(await first.exited, 0);

  const second = await start(place);
  await eventually('all is delivered', async () => (await second.info()).jobs.delivered === 61);
  assert.deepEqual(place.delivered('web', '/slow'), body);
  for (let i = 0; i < 60; i += 1)
    assert.deepEqual(place.delivered('web', `/f${i}`), Buffer.alloc(300_000, i));
});

test('a second SIGTERM ends at once; half a body leaves nothing, accepted files are delivered later', async () => {
  const place = placeWithoutTarget();
  const first = await start(place);
  const accepted = await upload(place.socketPath, 'web', '/kept', 'kept');
  const connection = await RawConnection.open(place.socketPath);
  connection.send(
    requestText('POST', '/upload', {
      'X-Container-Name': 'web',
      'X-File-Path': '/half',
      'Content-Length': '1000000',
    }),
  );
  connection.send(Buffer.alloc(500_000));
  await eventually('it is under way', async () => (await first.info()).uploads === 1);
  first.signal('SIGTERM');
  await eventually('it is stopping', () => first.stderr.includes('stopping'));
  // Signals that come together count as one, so it may take another.
  const again = setInterval(() => first.signal('SIGTERM'), 100);
  const startedMs = performance.now();
  assert.equal(await first.exited, 0);
  clearInterval(again);
  assert.ok(performance.now() - startedMs < 10_000);
  connection.destroy();

  openTarget(place);
  const second = await start(place);
  const id = String(accepted.headers['x-job-id']);
  await eventually('it is delivered', async () => (await second.job(id)).state === 'delivered');
  assert.equal(place.delivered('web', '/kept')?.toString(), 'kept');
  assert.deepEqual(place.payloadFiles(), []);
});

test('SIGTERM ends a daemon with idle connections and watchers soon', async () => {
  const place = newPlace();
  const daemon = await start(place);
  const silent = await RawConnection.open(place.socketPath);
  const idle = await RawConnection.open(daemon.port);
  idle.send(requestText('GET', '/healthz'));
  await idle.answer(0);
  const events = await RawConnection.open(daemon.port);
  events.send(requestText('GET', '/v1/events').replace('HTTP/1.1', 'HTTP/1.0'));
  await events.until(() => events.rest.includes('incus-upload'), 'the stream');
  const startedMs = performance.now();
  assert.equal(await daemon.stop(), 0);
  assert.ok(performance.now() - startedMs < 3000, `${performance.now() - startedMs} ms`);
  for (const connection of [silent, idle, events]) await connection.untilClosed();
});

test('while it stops, a connection that is still open is answered with 503 draining', async () => {
  const place = newPlace();
  const daemon = await start(place);
  const idle = await RawConnection.open(place.socketPath);
  const target = { 'X-Container-Name': 'web', 'X-File-Path': '/f', Accept: 'application/json' };
  idle.send(requestText('POST', '/upload', target, 'x'));
  assert.equal((await idle.answer(0)).status, 202);
  const slow = await RawConnection.open(place.socketPath);
  slow.send(requestText('POST', '/upload', { ...target, 'Content-Length': '10' }, 'x'));
  await eventually('it is under way', async () => (await daemon.info()).uploads === 1);
  daemon.signal('SIGTERM');
  await eventually('it is stopping', () => daemon.stderr.includes('stopping'));
  idle.send(requestText('POST', '/upload', target, 'x'));
  const answer = await idle.answer(1);
  assert.equal(answer.status, 503);
  assert.equal(JSON.parse(answer.body).code, 'draining');
  assert.ok(Number(answer.headers.get('retry-after')) >= 1);
  await idle.untilClosed();
  slow.send('123456789');
  assert.equal((await slow.answer(0)).status, 202);
  assert.equal(await daemon.exited, 0);
});

test('SIGHUP reads the limits again; a wrong file changes nothing', async () => {
  const place = newPlace();
  const config = join(place.directory, 'uploadd.yml');
  writeFileSync(config, 'max_uploads: 5\n');
  const daemon = await start(place, '--config', config);
  const limit = async (): Promise<unknown> =>
    ((await daemon.info()).limits as { max_uploads: number }).max_uploads;
  assert.equal(await limit(), 5);
  writeFileSync(config, 'max_uploads: 0x\n');
  daemon.signal('SIGHUP');
  await eventually('it complains', () => daemon.stderr.includes('cannot read the configuration again'));
  assert.equal(await limit(), 5);
  writeFileSync(config, 'max_uploads: 6\nmax_upload_size: 1KiB\n');
  daemon.signal('SIGHUP');
  await eventually('it is read', async () => (await limit()) === 6);
  assert.equal((await upload(place.socketPath, 'web', '/f', Buffer.alloc(2000))).status, 413);
});

test('a second daemon on the same state directory exits 78 and says why', async () => {
  const place = newPlace();
  await start(place);
  const second = spawnDaemon(place, ['--listen', `unix:${join(place.directory, 'second')}`]);
  daemons.push(second);
  assert.equal(await second.exited, 78);
  assert.match(second.stderr, /^incus-uploadd: [^\n]*state[^\n]*\n$/);
  assert.equal((await upload(place.socketPath, 'web', '/f', 'x')).status, 202);
});
