import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { eventually, type Harness, type HarnessOptions, openHarness } from './harness.ts';
import { RawConnection, requestText } from './raw-exchange.ts';
import { request, upload } from './request.ts';

let daemon: Harness;
let connections: RawConnection[] = [];
afterEach(async () => {
  for (const connection of connections) connection.destroy();
  connections = [];
  await eventually('no upload is under way', () => daemon.context.stats.uploadsUnderWay === 0);
  assert.equal(daemon.reservedBytes(), 0);
  daemon.target.behave('deliver');
  await eventually('all is delivered', () => daemon.context.spool.live.size === 0);
  await eventually('no payload file is left', () => daemon.payloadFiles().length === 0);
  await daemon.close();
});

async function open(options: HarnessOptions): Promise<void> {
  daemon = await openHarness(options);
}

async function connect(): Promise<RawConnection> {
  const connection = await RawConnection.open(daemon.port);
  connections.push(connection);
  return connection;
}

const TO = { 'X-Container-Name': 'web', 'X-File-Path': '/tmp/f' };

/** An upload that has begun and whose body has not ended. */
async function begin(sizeBytes = 100): Promise<RawConnection> {
  const before = daemon.context.stats.uploadsUnderWay;
  const connection = await connect();
  connection.send(requestText('POST', '/upload', { ...TO, 'Content-Length': String(sizeBytes) }, 'x'));
  await eventually('it is under way', () => daemon.context.stats.uploadsUnderWay === before + 1);
  return connection;
}

/** Asks for leave to send a body and expects a refusal instead. */
async function refusedBeforeBody(
  headers: Record<string, string> = {},
): Promise<{ status: number; code: string; retryAfter: number }> {
  const connection = await connect();
  connection.send(
    requestText('POST', '/upload', {
      ...TO,
      'Content-Length': '5',
      Expect: '100-continue',
      Accept: 'application/json',
      ...headers,
    }),
  );
  const answer = await connection.answer(0);
  return {
    status: answer.status,
    code: JSON.parse(answer.body).code,
    retryAfter: Number(answer.headers.get('retry-after') ?? Number.NaN),
  };
}

test('uploads beyond --max-uploads are 429 with Retry-After, before the body', async () => {
  await open({ limits: { maxUploads: 2 } });
  const [first] = [await begin(), await begin()];
  const { status, code, retryAfter } = await refusedBeforeBody();
  assert.deepEqual([status, code], [429, 'too_many_uploads']);
  assert.ok(retryAfter >= 1);
  first.send('x'.repeat(99));
  assert.equal((await first.answer(0)).status, 202);
  assert.equal((await upload(daemon.port, 'web', '/tmp/g', 'x')).status, 202);
});

test('uploads beyond --max-queued-jobs are 503 with Retry-After, and taken again once there is room', async () => {
  await open({ limits: { maxQueuedJobs: 2 } });
  daemon.target.behave('hold');
  for (let i = 0; i < 2; i += 1) assert.equal((await upload(daemon.port, 'web', `/${i}`, 'x')).status, 202);
  const { status, code, retryAfter } = await refusedBeforeBody();
  assert.deepEqual([status, code], [503, 'queue_full']);
  assert.ok(retryAfter >= 1);
  daemon.target.behave('deliver');
  await eventually('the queue is empty', () => daemon.context.spool.live.size === 0);
  assert.equal((await upload(daemon.port, 'web', '/f', 'x')).status, 202);
});

test('uploads under way count for --max-queued-jobs', async () => {
  await open({ limits: { maxQueuedJobs: 2 } });
  const begun = [await begin(2), await begin(2)];
  const { status, code } = await refusedBeforeBody();
  assert.deepEqual([status, code], [503, 'queue_full']);
  for (const connection of begun) {
    connection.send('x');
    assert.equal((await connection.answer(0)).status, 202);
  }
});

test('an upload that the disk has no room for is 507 with Retry-After, reservations counted in', async () => {
  await open({});
  const free = daemon.context.spool.disk.freeBytes();
  const { status, code, retryAfter } = await refusedBeforeBody({ 'Content-Length': String(free + 1) });
  assert.deepEqual([status, code], [507, 'disk_low']);
  assert.ok(retryAfter >= 1);
  await begin(Math.floor(free * 0.6));
  const second = await refusedBeforeBody({ 'Content-Length': String(Math.floor(free * 0.6)) });
  assert.equal(second.status, 507);
  assert.equal((await upload(daemon.port, 'web', '/f', 'x')).status, 202);
});

test('an upload while the daemon stops is 503 with Retry-After, and the connection is closed after it', async () => {
  await open({});
  const connection = await connect();
  connection.send(requestText('POST', '/upload', TO, 'x'));
  assert.equal((await connection.answer(0)).status, 202);
  daemon.context.closing = true;
  daemon.context.draining = true;
  connection.send(requestText('POST', '/upload', { ...TO, Accept: 'application/json' }, 'x'));
  const answer = await connection.answer(1);
  assert.equal(answer.status, 503);
  assert.equal(JSON.parse(answer.body).code, 'draining');
  assert.ok(Number(answer.headers.get('retry-after')) >= 1);
  assert.equal(answer.headers.get('connection'), 'close');
  await connection.untilClosed();
  daemon.context.closing = false;
  daemon.context.draining = false;
});

test('a refusal is read by a sender that sends its whole body first', async () => {
  await open({ limits: { maxUploads: 0 } });
  const answer = await upload(daemon.port, 'web', '/f', Buffer.alloc(3 << 20));
  assert.equal(answer.status, 429);
});

for (const [what, framing] of [
  ['a declared length', { 'Content-Length': '100' }],
  ['chunks', { 'Transfer-Encoding': 'chunked' }],
] as const) {
  test(`a body of ${what} that stalls is 408 after --body-timeout, and the connection ends`, async () => {
    await open({ limits: { bodyTimeoutMs: 300 } });
    const connection = await connect();
    const startedMs = performance.now();
    connection.send(requestText('POST', '/upload', { ...TO, Accept: 'application/json', ...framing }));
    connection.send('2\r\nxx\r\n');
    const answer = await connection.answer(0);
    assert.equal(answer.status, 408);
    assert.equal(JSON.parse(answer.body).code, 'stalled');
    assert.ok(performance.now() - startedMs >= 290);
    await connection.untilClosed();
  });
}

test('a slow body that goes on is not cut', async () => {
  await open({ limits: { bodyTimeoutMs: 2000 } });
  const connection = await begin(8);
  for (let i = 0; i < 7; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, 400));
    connection.send('x');
  }
  assert.equal((await connection.answer(0)).status, 202);
});

test('headers have a deadline by default', async () => {
  await open({});
  for (const server of daemon.servers) {
    assert.ok(server.headersTimeout > 0 && server.headersTimeout <= 30_000, `${server.headersTimeout} ms`);
    assert.equal(server.requestTimeout, 0);
  }
});

test('headers that do not come in time are 408', async () => {
  await open({});
  for (const server of daemon.servers) server.headersTimeout = 500;
  const connection = await connect();
  connection.send('POST /upload HTTP/1.1\r\nHost: x\r\nX-Cont');
  const answer = await connection.answer(0);
  assert.equal(answer.status, 408);
  assert.match(answer.body, /headers/);
  await connection.untilClosed();
  const silent = await connect();
  await silent.untilClosed();
  assert.ok(daemon.refusals.some(({ code }) => code === 'stalled'));
});

test('limits that are changed count from then on', async () => {
  await open({ limits: { maxUploads: 0 } });
  assert.equal((await upload(daemon.port, 'web', '/f', 'x')).status, 429);
  daemon.context.limits = { ...daemon.context.limits, maxUploads: 1 };
  assert.equal((await upload(daemon.port, 'web', '/f', 'x')).status, 202);
  daemon.context.limits = { ...daemon.context.limits, bodyTimeoutMs: 200 };
  const connection = await begin();
  assert.equal((await connection.answer(0)).status, 408);
});

test('when many uploads stall and all places are taken, the one that is silent longest gives way', async () => {
  await open({ limits: { maxUploads: 100 } });
  const stalled: RawConnection[] = [];
  for (let i = 0; i < 100; i += 1) stalled.push(await begin(i === 0 ? 100_000 : 100));
  stalled[0]?.send('y'.repeat(50_000));
  await eventually('one gives way', async () => (await upload(daemon.port, 'web', '/f', 'x')).status === 202);
  const cut = stalled.filter(({ answers }) => answers.length > 0);
  assert.equal(cut.length, 1);
  assert.equal(cut[0]?.answers[0]?.status, 408);
});

test('a few stalled uploads keep their places', async () => {
  await open({ limits: { maxUploads: 3 } });
  const stalled = [await begin(), await begin(), await begin()];
  const until = performance.now() + 2500;
  while (performance.now() < until) {
    assert.equal((await upload(daemon.port, 'web', '/f', 'x')).status, 429);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  assert.ok(stalled.every(({ answers }) => answers.length === 0));
});

test('64 uploads at once are all taken', async () => {
  await open({});
  const body = Buffer.alloc(200_000, 1);
  const answers = await Promise.all(
    Array.from({ length: 64 }, (_, i) =>
      upload(i % 2 === 0 ? daemon.port : daemon.socketPath, 'web', `/${i}`, body),
    ),
  );
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([202]));
});

test('connections beyond the limit are closed, and idle ones make room', async () => {
  await open({});
  const { connections: limit } = daemon.app;
  limit.limits = { total: 4, perPeer: 3 };
  const idle = [await connect(), await connect(), await connect()];
  for (const connection of idle) {
    connection.send(requestText('GET', '/healthz'));
    await connection.answer(0);
  }
  const tooMany = await connect();
  await tooMany.untilClosed();
  for (const connection of idle) await connection.untilClosed();
  assert.equal((await request(daemon.port, 'GET', '/healthz')).status, 200);
  assert.ok(daemon.refusals.some(({ code }) => code === 'too_many_uploads'));
  await eventually('all are counted down', () => limit.open === 0);
});
