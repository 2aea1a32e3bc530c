import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, afterEach, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseAddress } from '../../src/client/address.ts';
import { type Connection, openConnection } from '../../src/client/connection.ts';
import { watchEvents } from '../../src/client/events.ts';
import { getInfo } from '../../src/client/info.ts';
import { cancelJob, getJob, listJobs, retryJob } from '../../src/client/jobs.ts';
import { createStreamSource } from '../../src/client/stream-source.ts';
import { upload } from '../../src/client/upload.ts';
import type { UploadRequest } from '../../src/protocol/upload-headers.ts';
import { type FakeDaemon, startFakeDaemon } from '../support/fake-daemon.ts';

const directory = mkdtempSync(join(tmpdir(), 'incus-upload-connection-'));
after(() => rmSync(directory, { recursive: true }));
const socketPath = join(directory, 'socket');

let daemon: FakeDaemon;
let connection: Connection;
beforeEach(async () => {
  daemon = await startFakeDaemon(socketPath);
  connection = openConnection({ address: parseAddress(daemon.url) });
});
afterEach(async () => {
  connection.close();
  await daemon.close();
});

const REQUEST: UploadRequest = {
  instance: 'web',
  project: 'default',
  path: '/srv/',
  sourceName: 'naïve.bin',
  mode: 0o600,
  uid: 1,
  gid: 2,
  createDirs: true,
  idempotencyKey: 'key',
  sha256: null,
  extract: null,
};

const text = (words: string): Readable => Readable.from([Buffer.from(words)]);

test('upload() sends a stream with its headers', async () => {
  const accepted = await upload(connection, createStreamSource('words', text('hello')), REQUEST);
  const [received] = daemon.uploads;
  assert.deepEqual(received?.request, REQUEST);
  assert.equal(received?.sizeBytes, 5);
  assert.equal(received?.headers['transfer-encoding'], 'chunked');
  assert.equal(JSON.parse(accepted.jobText).id, accepted.id);
});

test('upload() works over TCP as over a socket', async () => {
  const other = await startFakeDaemon();
  const tcp = openConnection({ address: parseAddress(other.url), token: 'secret' });
  other.token = 'secret';
  await upload(tcp, createStreamSource('words', text('hello')), REQUEST);
  assert.equal(other.uploads[0]?.sizeBytes, 5);
  tcp.close();
  await other.close();
});

test('upload() says which source broke', async () => {
  const broken = new Readable({ read: () => broken.destroy(new Error('input/output error')) });
  await assert.rejects(upload(connection, createStreamSource('words', broken), REQUEST), {
    code: 'source_unreadable',
    message: 'Cannot read words: input/output error',
  });
  assert.equal(daemon.uploads.length, 0);
});

test('listJobs() goes through all pages, newest first', async () => {
  for (let i = 0; i < 7; i += 1) await upload(connection, createStreamSource('x', text('x')), REQUEST);
  const ids = [];
  for await (const job of listJobs(connection, {})) ids.push(job.id);
  assert.deepEqual(ids, [...daemon.jobs.keys()].reverse());
  const some = [];
  for await (const job of listJobs(connection, { limit: 3, instance: 'web' })) some.push(job.id);
  assert.deepEqual(some, ids.slice(0, 3));
  for await (const _ of listJobs(connection, { state: 'failed' })) assert.fail();
});

test('getJob(), cancelJob() and retryJob() give the job, and the refusal of the daemon', async () => {
  const { id } = await upload(connection, createStreamSource('x', text('x')), REQUEST);
  assert.equal((await getJob(connection, id)).sourceName, 'naïve.bin');
  assert.equal((await cancelJob(connection, id)).state, 'cancelled');
  await assert.rejects(cancelJob(connection, id), { code: 'conflict', message: /job is cancelled/ });
  assert.equal((await retryJob(connection, id)).state, 'queued');
  await assert.rejects(getJob(connection, 'nope'), { code: 'not_found' });
  assert.equal((await getInfo(connection)).version, '9.9.9');
});

test('getJob() waits for the end of the job', async () => {
  const { id } = await upload(connection, createStreamSource('x', text('x')), REQUEST);
  const waiting = getJob(connection, id, { waitSeconds: 30 });
  while (daemon.requests.length < 2) await new Promise((resolve) => setImmediate(resolve));
  daemon.update(id, { state: 'delivered' });
  assert.equal((await waiting).state, 'delivered');
});

test('watchEvents() tells changes, also after the connection broke', async () => {
  const { id } = await upload(connection, createStreamSource('x', text('x')), REQUEST);
  const controller = new AbortController();
  const states: string[] = [];
  const watching = (async () => {
    for await (const event of watchEvents(connection, { jobId: id, signal: controller.signal })) {
      if (event.type !== 'job') continue;
      states.push(event.job.state);
      if (event.job.state === 'queued' && states.length === 1) daemon.update(id, { state: 'delivering' });
      if (event.job.state === 'delivering' && daemon.requests.length === 2) {
        await daemon.close();
        const jobs = daemon.jobs;
        daemon = await startFakeDaemon(socketPath);
        for (const [known, job] of jobs) daemon.jobs.set(known, job);
      }
      if (states.length === 3) controller.abort(new Error('enough'));
    }
  })();
  await assert.rejects(watching, { message: 'enough' });
  assert.deepEqual(states.slice(0, 2), ['queued', 'delivering']);
  assert.deepEqual(daemon.requests, [`GET /v1/events?job=${id}`]);
});

/** A peer that does with a connection whatever the test wants. */
async function withPeer(
  talk: (socket: Socket) => void,
  act: (connection: Connection) => Promise<void>,
): Promise<void> {
  const path = join(directory, 'peer');
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    talk(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const own = openConnection({ address: parseAddress(`unix:${path}`) });
  try {
    await act(own);
  } finally {
    own.close();
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

const endless = (): Readable =>
  Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(65_536);
    })(),
  );

test('upload() takes the answer that comes before the peer stops listening', async () => {
  const body = '{"code":"disk_low","detail":"No room."}';
  const answer = `HTTP/1.1 507 Insufficient Storage\r\nContent-Type: application/problem+json\r\nConnection: close\r\nRetry-After: 9\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  for (let i = 0; i < 20; i += 1) {
    await withPeer(
      (socket) => socket.once('data', () => socket.end(answer, () => socket.destroy())),
      async (own) => {
        await assert.rejects(upload(own, createStreamSource('x', endless()), REQUEST), {
          code: 'disk_low',
          message: 'No room.',
          retryAfterSeconds: 9,
        });
      },
    );
  }
});

test('upload() fails as send_failed when the peer goes away', async () => {
  for (const talk of [
    (socket: Socket) => socket.once('data', () => socket.destroy()),
    (socket: Socket) => socket.once('data', () => socket.end()),
    (socket: Socket) => socket.once('data', () => socket.end('garbage\r\n\r\n')),
    (socket: Socket) => socket.once('data', () => socket.end('HTTP/1.1 202 Acc')),
  ]) {
    await withPeer(talk, async (own) => {
      await assert.rejects(upload(own, createStreamSource('x', endless()), REQUEST), { code: 'send_failed' });
    });
  }
});

test('getInfo() fails as daemon_unreachable when the peer goes away, or is none', async () => {
  await withPeer(
    (socket) => socket.once('data', () => socket.destroy()),
    async (own) => assert.rejects(getInfo(own), { code: 'daemon_unreachable' }),
  );
  for (const url of [`unix:${join(directory, 'none')}`, 'http://127.0.0.1:1', 'http://name.invalid:1']) {
    const none = openConnection({ address: parseAddress(url) });
    await assert.rejects(getInfo(none), {
      code: 'daemon_unreachable',
      message: /Cannot reach the daemon at /,
    });
    none.close();
  }
});

test('getInfo() names the group of a socket that is closed to the user', {
  skip: process.getuid?.() !== 0 && 'needs root, to become somebody else',
}, async () => {
  chmodSync(directory, 0o755);
  chmodSync(socketPath, 0o660);
  const program = `
    const { openConnection } = await import(${JSON.stringify(fileURLToPath(new URL('../../src/client/connection.ts', import.meta.url)))});
    const { getInfo } = await import(${JSON.stringify(fileURLToPath(new URL('../../src/client/info.ts', import.meta.url)))});
    process.setgroups([]); process.setgid(65534); process.setuid(65534);
    const connection = openConnection({ address: { kind: 'unix', socketPath: ${JSON.stringify(socketPath)} } });
    await getInfo(connection).catch((error) => process.stdout.write(error.code + ': ' + error.message));
    connection.close();`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  for await (const piece of child.stdout) said += piece;
  assert.match(said, /^socket_denied: The daemon's socket .*socket is closed to you; join the group root /);
});
