/** Who is let in over which listener, and as whom. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { revokeToken } from '../../src/spool/token-directory.ts';
import { createToken } from '../../src/spool/token-record.ts';
import { eventually, type Harness, openHarness } from './harness.ts';
import { RawConnection, requestText } from './raw-exchange.ts';
import { type Answer, request, upload } from './request.ts';
import { ask, bearer, giveToken, send, untilClean } from './token-senders.ts';

let daemon: Harness;
let all: string;
let web: string;
before(async () => {
  daemon = await openHarness({ tcpAccess: 'closed' });
  all = await giveToken(daemon, 'all');
  web = await giveToken(daemon, 'web', {
    instances: ['web-*'],
    paths: ['/srv/**', '/etc/motd'],
    maxUploadSizeBytes: 10,
  });
});
after(() => daemon.close());
afterEach(() => untilClean(daemon));

const idOf = ({ headers }: Answer): string => String(headers['x-job-id']);

const ROUTES: [string, string][] = [
  ['POST', '/upload'],
  ['GET', '/v1/jobs'],
  ['GET', '/v1/jobs/1k1031j4jzr'],
  ['POST', '/v1/jobs/1k1031j4jzr/cancel'],
  ['POST', '/v1/jobs/1k1031j4jzr/retry'],
  ['GET', '/v1/events'],
  ['GET', '/v1/info'],
  ['GET', '/metrics'],
  ['GET', '/'],
  ['GET', '/healthz/x'],
  ['DELETE', '/v1/jobs'],
];
for (const [method, path] of ROUTES) {
  test(`${method} ${path} over TCP needs a token, and each refusal is one line`, async () => {
    const bad: [Record<string, string>, string][] = [
      [{}, 'Bearer realm="incus-upload"'],
      [bearer(createToken()), 'Bearer realm="incus-upload", error="invalid_token"'],
      [bearer(''), 'Bearer realm="incus-upload", error="invalid_token"'],
      [{ Authorization: `Basic ${all}` }, 'Bearer realm="incus-upload", error="invalid_token"'],
    ];
    for (const [headers, challenge] of bad) {
      const logged = daemon.refusals.length;
      const answer = await request(daemon.port, method, path, { headers });
      assert.equal(answer.status, 401);
      assert.equal(answer.headers['www-authenticate'], challenge);
      assert.equal(answer.headers['x-error-code'], 'unauthorized');
      assert.deepEqual(
        daemon.refusals.slice(logged).map(({ peer, code }) => [peer, code]),
        [['127.0.0.1', 'unauthorized']],
      );
    }
  });
}

test('/healthz and /readyz answer everybody, and tell nobody why deliveries wait', async () => {
  daemon.context.queue.circuit.open('unix.socket: secret');
  for (const path of ['/healthz', '/readyz', '/readyz?verbose']) {
    const answer = await request(daemon.port, 'GET', path);
    assert.equal(answer.status, 200);
    assert.doesNotMatch(answer.text, /secret/);
  }
  await eventually('the target is back', () => daemon.context.queue.circuit.reason === undefined);
});

test('the scheme may be written in any case', async () => {
  const answer = await request(daemon.port, 'GET', '/v1/jobs', {
    headers: { Authorization: `bEaReR  ${all}` },
  });
  assert.equal(answer.status, 200);
});

test('two Authorization headers are refused, whichever is right', async () => {
  for (const [first, second] of [
    [all, 'x'],
    ['x', all],
    [all, all],
  ]) {
    const connection = await RawConnection.open(daemon.port);
    connection.send(
      `GET /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${first}\r\nauthorization: Bearer ${second}\r\n\r\n`,
    );
    assert.equal((await connection.answer(0)).status, 400);
    connection.socket.destroy();
  }
});

test('an upload without a token is refused before its body, and nothing of it is kept', async () => {
  const connection = await RawConnection.open(daemon.port);
  const headers = {
    'X-Container-Name': 'c',
    'X-File-Path': '/f',
    'Content-Length': '1000000',
    Expect: '100-continue',
  };
  connection.send(requestText('POST', '/upload', headers));
  assert.equal((await connection.answer(0)).status, 401);
  assert.equal(daemon.context.stats.uploadsUnderWay, 0);
  connection.socket.destroy();
});

test('whoever may open the unix socket needs no token, but one that is sent is judged', async () => {
  assert.equal((await request(daemon.socketPath, 'GET', '/v1/jobs')).status, 200);
  const bad = await request(daemon.socketPath, 'GET', '/v1/jobs', { headers: bearer(`${all}x`) });
  assert.equal(bad.status, 401);
  const answer = await upload(daemon.socketPath, 'db', '/srv/f', 'x', bearer(web));
  assert.equal(answer.status, 403);
});

test('a job says which token sent it; one from the unix socket says nothing', async () => {
  assert.equal(JSON.parse((await send(daemon, web, 'web-1', '/srv/f')).text).submitted_by, 'token:web');
  const local = await upload(daemon.socketPath, 'web-1', '/srv/f', 'x', { Accept: 'application/json' });
  assert.equal(JSON.parse(local.text).submitted_by, null);
  assert.deepEqual(
    daemon.audits.slice(-2).map(({ peer, caller }) => [peer, caller.submittedBy]),
    [
      ['127.0.0.1', 'token:web'],
      ['unix', null],
    ],
  );
});

test('a revoked and an expired token are refused from the next request on, also on an open connection', async () => {
  for (const end of ['revoke', 'expire']) {
    const text = await giveToken(daemon, end, {}, end === 'expire' ? Date.now() + 4000 : null);
    const connection = await RawConnection.open(daemon.port);
    connection.send(requestText('GET', '/v1/jobs?limit=1', bearer(text)));
    assert.equal((await connection.answer(0)).status, 200);
    if (end === 'revoke') await revokeToken(daemon.stateDir, end);
    await eventually(
      'it is refused',
      async () => (await ask(daemon, text, 'GET', '/v1/jobs?limit=1')).status === 401,
    );
    connection.send(requestText('GET', '/v1/jobs?limit=1', bearer(text)));
    assert.equal((await connection.answer(1)).status, 401);
    connection.socket.destroy();
  }
});

test('who waits for a job with a token that is revoked meanwhile does not learn the end', async () => {
  const text = await giveToken(daemon, 'waiting');
  daemon.target.behave('hold');
  const id = idOf(await send(daemon, text, 'web-1', '/srv/f'));
  const waiting = ask(daemon, text, 'GET', `/v1/jobs/${id}?wait=30`);
  await eventually('somebody waits', () => daemon.context.waiting.size === 1);
  await revokeToken(daemon.stateDir, 'waiting');
  daemon.target.behave('deliver');
  assert.equal((await waiting).status, 401);
  assert.equal(daemon.refusals.at(-1)?.code, 'unauthorized');
});
