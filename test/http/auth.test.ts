/** Who is let in, as what, and what the scope of a token means on every route. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { type Scope, UNLIMITED } from '../../src/protocol/scope.ts';
import { addToken, revokeToken } from '../../src/spool/token-directory.ts';
import { createToken, hashToken } from '../../src/spool/token-record.ts';
import { EventStream } from './event-stream.ts';
import { eventually, type Harness, openHarness } from './harness.ts';
import { RawConnection, requestText } from './raw-exchange.ts';
import { type Answer, request, upload } from './request.ts';

let daemon: Harness;
let all: string;
let web: string;
let reader: string;
before(async () => {
  daemon = await openHarness({ tcpAccess: 'closed' });
  all = await token('all');
  web = await token('web', { instances: ['web-*'], paths: ['/srv/**', '/etc/motd'], maxUploadSizeBytes: 10 });
  reader = await token('reader', { readOnly: true });
});
after(() => daemon.close());
afterEach(async () => {
  daemon.target.behave('deliver');
  await eventually('nothing is under way', () => daemon.context.spool.live.size === 0);
  await eventually('nothing is left', () => daemon.payloadFiles().length === 0);
  assert.equal(daemon.context.stats.uploadsUnderWay, 0);
  assert.equal(daemon.reservedBytes(), 0);
});

async function token(
  name: string,
  scope: Partial<Scope> = {},
  expiresAt: number | null = null,
): Promise<string> {
  const text = createToken();
  const sha256 = hashToken(text).toString('hex');
  await addToken(daemon.stateDir, {
    name,
    sha256,
    scope: { ...UNLIMITED, ...scope },
    createdAt: 0,
    expiresAt,
  });
  return text;
}

const bearer = (text: string): Record<string, string> => ({ Authorization: `Bearer ${text}` });

function as(text: string, method: string, path: string): Promise<Answer> {
  return request(daemon.port, method, path, { headers: bearer(text) });
}

function send(
  text: string,
  instance: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return upload(daemon.port, instance, path, 'content', {
    ...bearer(text),
    Accept: 'application/json',
    ...headers,
  });
}

const codeOf = ({ text }: Answer): string => JSON.parse(text).code;
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
  assert.equal(JSON.parse((await send(web, 'web-1', '/srv/f')).text).submitted_by, 'token:web');
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

const OUTSIDE: [string, string, string, string, Record<string, string>][] = [
  ['another instance', 'web', 'db', '/srv/f', {}],
  ['another path', 'web', 'web-1', '/etc/passwd', {}],
  ['a path that only begins like one', 'web', 'web-1', '/srvx/f', {}],
  ['the directory itself', 'web', 'web-1', '/srv', { 'X-Host-Path': 'f' }],
  ['a path that is only allowed before it is cleaned', 'web', 'web-1', '/etc/./motd/../passwd', {}],
  ['a directory whose file is not covered', 'web', 'web-1', '/etc/', { 'X-Host-Path': 'passwd' }],
  ['anything, for a reader', 'reader', 'web-1', '/srv/f', {}],
];
for (const [what, name, instance, path, headers] of OUTSIDE) {
  test(`an upload for ${what} is refused`, async () => {
    const answer = await send(name === 'web' ? web : reader, instance, path, headers);
    if (path.includes('..')) assert.equal(answer.status, 400);
    else {
      assert.deepEqual([answer.status, codeOf(answer)], [403, 'forbidden']);
      assert.match(String(answer.headers['www-authenticate']), /error="insufficient_scope"/);
      assert.match(JSON.parse(answer.text).detail, new RegExp(`^The token ${name} `));
    }
  });
}

test('the scope is judged on the cleaned path', async () => {
  assert.equal((await send(web, 'web-1', '//etc/.//motd')).status, 202);
  assert.equal((await send(web, 'web-1', '/etc//', { 'X-Host-Path': '/home/me/motd' })).status, 202);
  assert.equal((await send(web, 'web-1', '/srv/.', { 'X-Host-Path': 'f' })).status, 202);
});

test('a file for one path cannot become one in a directory of that name', async () => {
  const job = JSON.parse((await send(web, 'web-1', '/etc/motd', { 'X-Host-Path': 'evil' })).text);
  assert.equal(job.source_name, null);
  const kept = JSON.parse((await send(web, 'web-1', '/srv/f', { 'X-Host-Path': 'good' })).text);
  assert.equal(kept.source_name, 'good');
});

test('the size of a token is a limit of its own, declared or not', async () => {
  const declared = await upload(daemon.port, 'web-1', '/srv/f', 'x'.repeat(11), bearer(web));
  assert.equal(declared.status, 413);
  const chunked = await upload(
    daemon.port,
    'web-1',
    '/srv/f',
    [Buffer.alloc(6), Buffer.alloc(6)],
    bearer(web),
  );
  assert.equal(chunked.status, 413);
  assert.equal((await upload(daemon.port, 'web-1', '/srv/f', 'x'.repeat(10), bearer(web))).status, 202);
  assert.equal(JSON.parse((await as(web, 'GET', '/v1/info')).text).limits.max_upload_size, 10);
});

test('jobs outside of the scope are not there, and those inside may be touched', async () => {
  daemon.target.behave('hold');
  const foreign = idOf(await send(all, 'db', '/srv/f'));
  const elsewhere = idOf(await send(all, 'web-1', '/root/f'));
  const inside = idOf(await send(all, 'web-1', '/srv/f'));
  for (const id of [foreign, elsewhere]) {
    for (const [method, path] of [
      ['GET', `/v1/jobs/${id}`],
      ['GET', `/v1/jobs/${id}?wait=5`],
      ['POST', `/v1/jobs/${id}/cancel`],
      ['POST', `/v1/jobs/${id}/retry`],
      ['GET', `/v1/events?job=${id}`],
    ] as const) {
      const answer = await as(web, method, path);
      // The same words as for an id that was never given out.
      assert.deepEqual([answer.status, JSON.parse(answer.text).detail], [404, `There is no job ${id}`], path);
    }
  }
  assert.equal((await as(web, 'GET', `/v1/jobs/${inside}`)).status, 200);
  assert.equal((await as(reader, 'POST', `/v1/jobs/${inside}/cancel`)).status, 403);
  assert.equal((await as(reader, 'GET', `/v1/jobs/${inside}`)).status, 200);
  assert.equal((await as(web, 'POST', `/v1/jobs/${inside}/cancel`)).status, 200);
  assert.equal(daemon.audits.at(-1)?.outcome, 'cancel');
  assert.equal(daemon.audits.at(-1)?.caller.submittedBy, 'token:web');
});

test('lists hold what the scope covers, whole, in order and page by page', async () => {
  const mine: string[] = [];
  for (let i = 0; i < 12; i += 1) {
    await send(all, i % 2 === 0 ? 'db' : 'web-1', `/root/${i}`);
    mine.push(idOf(await send(all, 'web-9', `/srv/${i}`)));
  }
  const seen: string[] = [];
  let after = '';
  do {
    const page = JSON.parse((await as(web, 'GET', `/v1/jobs?instance=web-9&limit=5&after=${after}`)).text);
    assert.ok(page.jobs.length <= 5);
    seen.push(...page.jobs.map(({ id }: { id: string }) => id));
    after = page.next ?? '';
  } while (after !== '');
  assert.deepEqual(seen, mine.reverse());
  const { jobs } = JSON.parse((await as(web, 'GET', '/v1/jobs?limit=1000')).text);
  assert.ok(
    jobs.every(
      ({ instance, path }: { instance: string; path: string }) =>
        instance.startsWith('web-') && /^\/(srv|etc)\//.test(path),
    ),
  );
  assert.equal(JSON.parse((await as(web, 'GET', '/v1/jobs?instance=db')).text).jobs.length, 0);
});

test('events outside of the scope are not told, and the stream ends with the token', async () => {
  const short = await token('short', { instances: ['web-*'] });
  const stream = await EventStream.open(daemon.port, '', bearer(short));
  await send(all, 'db', '/srv/f');
  const id = idOf(await send(all, 'web-1', '/srv/f'));
  const events = await stream.until(3);
  assert.deepEqual(new Set(events.map(({ data }) => JSON.parse(data).id)), new Set([id]));
  await revokeToken(daemon.stateDir, 'short');
  await send(all, 'web-1', '/srv/g');
  await eventually('nobody watches', () => daemon.context.waiting.size === 0);
  stream.close();
});

test('sums over all jobs are for tokens that see all jobs', async () => {
  const limited = JSON.parse((await as(web, 'GET', '/v1/info')).text);
  assert.deepEqual([limited.jobs, limited.uploads, limited.free_bytes], [null, null, null]);
  assert.equal(limited.reachable, true);
  assert.equal((await as(web, 'GET', '/metrics')).status, 403);
  for (const text of [all, reader]) {
    assert.ok(JSON.parse((await as(text, 'GET', '/v1/info')).text).jobs.delivered > 0);
    assert.equal((await as(text, 'GET', '/metrics')).status, 200);
  }
});

test('an Idempotency-Key is its sender’s own', async () => {
  const key = { 'Idempotency-Key': 'shared' };
  const first = idOf(await send(all, 'web-1', '/srv/f', key));
  const other = await send(web, 'web-1', '/srv/f', key);
  assert.notEqual(idOf(other), first);
  const local = await upload(daemon.socketPath, 'web-1', '/srv/f', 'content', key);
  assert.equal(new Set([first, idOf(other), idOf(local)]).size, 3);
  assert.equal(idOf(await send(all, 'web-1', '/srv/f', key)), first);
});

test('an Idempotency-Key tells nothing of a job that the token no longer covers', async () => {
  const before = await token('moved');
  await send(before, 'db', '/root/secret', { 'Idempotency-Key': 'k' });
  await revokeToken(daemon.stateDir, 'moved');
  const now = await token('moved', { instances: ['web-*'] });
  const answer = await send(now, 'web-1', '/srv/f', { 'Idempotency-Key': 'k' });
  assert.equal(answer.status, 422);
  assert.doesNotMatch(answer.text, /db|secret/);
});

test('a revoked and an expired token are refused from the next request on, also on an open connection', async () => {
  for (const end of ['revoke', 'expire']) {
    const text = await token(end, {}, end === 'expire' ? Date.now() + 400 : null);
    const connection = await RawConnection.open(daemon.port);
    connection.send(requestText('GET', '/v1/jobs?limit=1', bearer(text)));
    assert.equal((await connection.answer(0)).status, 200);
    if (end === 'revoke') await revokeToken(daemon.stateDir, end);
    await eventually('it is refused', async () => (await as(text, 'GET', '/v1/jobs?limit=1')).status === 401);
    connection.send(requestText('GET', '/v1/jobs?limit=1', bearer(text)));
    assert.equal((await connection.answer(1)).status, 401);
    connection.socket.destroy();
  }
});

test('who waits for a job with a token that is revoked meanwhile does not learn the end', async () => {
  const text = await token('waiting');
  daemon.target.behave('hold');
  const id = idOf(await send(text, 'web-1', '/srv/f'));
  const waiting = as(text, 'GET', `/v1/jobs/${id}?wait=30`);
  await eventually('somebody waits', () => daemon.context.waiting.size === 1);
  await revokeToken(daemon.stateDir, 'waiting');
  daemon.target.behave('deliver');
  assert.equal((await waiting).status, 401);
  assert.equal(daemon.refusals.at(-1)?.code, 'unauthorized');
});
