import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { decodeJob } from '../../src/protocol/job-wire.ts';
import { eventually, type Harness, openHarness } from './harness.ts';
import { RawConnection, requestText } from './raw-exchange.ts';
import { type Answer, request, upload } from './request.ts';

let daemon: Harness;
before(async () => {
  daemon = await openHarness();
});
after(() => daemon.close());
afterEach(async () => {
  daemon.target.behave('deliver');
  await eventually('nothing is under way', () => daemon.context.spool.live.size === 0);
});

const get = (path: string, headers: Record<string, string> = {}): Promise<Answer> =>
  request(daemon.port, 'GET', path, { headers });
const post = (path: string): Promise<Answer> => request(daemon.port, 'POST', path);

async function push(instance: string, path: string, headers: Record<string, string> = {}): Promise<string> {
  const answer = await upload(daemon.port, instance, path, 'content', headers);
  assert.equal(answer.status, 202, answer.text);
  return String(answer.headers['x-job-id']);
}

async function stateOf(id: string): Promise<string> {
  return JSON.parse((await get(`/v1/jobs/${id}`)).text).state;
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/;

test('GET /v1/jobs/ID gives every member of a job while it is delivered and afterwards', async () => {
  daemon.target.behave('hold');
  const id = await push('web', '/tmp/', { 'X-Host-Path': '/home/a/b.txt' });
  await eventually('it is being delivered', async () => (await stateOf(id)) === 'delivering');
  const underWay = JSON.parse((await get(`/v1/jobs/${id}`)).text);
  const { created_at, updated_at, ...rest } = underWay;
  assert.match(created_at, TIME);
  assert.match(updated_at, TIME);
  assert.deepEqual(rest, {
    id,
    state: 'delivering',
    instance: 'web',
    project: 'default',
    path: '/tmp/',
    delivered_path: null,
    source_name: 'b.txt',
    size: 7,
    sha256: null,
    mode: '0644',
    uid: 0,
    gid: 0,
    create_dirs: true,
    finished_at: null,
    attempts: 1,
    max_attempts: 3,
    next_attempt_at: null,
    bytes_delivered: 0,
    ahead: 0,
    error: null,
    submitted_by: null,
    history: [],
    extract: null,
    files_total: null,
    files_done: null,
    batch: null,
  });
  const behind = await push('web', '/tmp/', { 'X-Host-Path': 'b.txt' });
  assert.equal(JSON.parse((await get(`/v1/jobs/${behind}`)).text).ahead, 1);

  daemon.target.behave('deliver');
  await eventually('it is delivered', async () => (await stateOf(id)) === 'delivered');
  const done = JSON.parse((await get(`/v1/jobs/${id}`)).text);
  assert.equal(done.delivered_path, '/tmp/b.txt');
  assert.match(done.finished_at, TIME);
  assert.deepEqual([done.bytes_delivered, done.ahead, done.error, done.attempts], [7, null, null, 1]);
  assert.equal(done.history.length, 1);
  decodeJob(done);
});

test('GET /v1/jobs/ID shows a deferred job with its error and when it is tried again', async () => {
  daemon.target.behave({ fail: 'connection_lost' });
  const id = await push('web', '/tmp/deferred');
  await eventually('the attempts are used up', async () => (await stateOf(id)) === 'failed');
  const failed = JSON.parse((await get(`/v1/jobs/${id}`)).text);
  assert.equal(failed.attempts, 3);
  assert.deepEqual(Object.keys(failed.error).sort(), ['code', 'message', 'retryable']);
  assert.equal(failed.error.code, 'connection_lost');
  assert.equal(failed.error.retryable, true);
  assert.match(failed.finished_at, TIME);
});

for (const path of [
  '/v1/jobs/0000000000a',
  '/v1/jobs/nonsense',
  '/v1/jobs/%zz',
  '/v1/nothing',
  '/v1/jobs/',
  '/nothing',
]) {
  test(`GET ${path} is 404`, async () => {
    const answer = await get(path);
    assert.equal(answer.status, 404);
    if (!path.startsWith('/v1')) return assert.match(answer.text, /^[^\n{]+\n$/);
    assert.equal(answer.headers['content-type'], 'application/problem+json');
    const problem = JSON.parse(answer.text);
    assert.deepEqual([problem.code, problem.status], ['not_found', 404]);
  });
}

test('routes below /v1 answer other methods with 405, Allow and a problem document', async () => {
  const id = await push('web', '/tmp/f');
  const allowed: [string, string, string][] = [
    ['POST', '/v1/jobs', 'GET, HEAD'],
    ['DELETE', `/v1/jobs/${id}`, 'GET, HEAD'],
    ['GET', `/v1/jobs/${id}/cancel`, 'POST'],
    ['PUT', `/v1/jobs/${id}/retry`, 'POST'],
    ['POST', '/v1/events', 'GET, HEAD'],
    ['POST', '/v1/info', 'GET, HEAD'],
  ];
  for (const [method, path, allow] of allowed) {
    const answer = await request(daemon.port, method, path);
    assert.equal(answer.status, 405, path);
    assert.equal(answer.headers.allow, allow);
    assert.equal(JSON.parse(answer.text).code, 'method_not_allowed');
  }
});

test('a refused GET leaves the connection open', async () => {
  const connection = await RawConnection.open(daemon.port);
  for (const [i, path] of ['/v1/nothing', '/upload', '/v1/info'].entries()) {
    connection.send(requestText('GET', path));
    const answer = await connection.answer(i);
    assert.notEqual(answer.headers.get('connection'), 'close', path);
  }
  connection.destroy();
});

test('HEAD answers like GET without a body, also on /v1/events', async () => {
  const id = await push('web', '/tmp/f');
  for (const path of [
    '/v1/jobs',
    `/v1/jobs/${id}`,
    '/v1/info',
    '/healthz',
    '/readyz',
    '/metrics',
    '/v1/events',
  ]) {
    const answer = await request(daemon.port, 'HEAD', path);
    assert.equal(answer.status, 200, path);
    assert.equal(answer.text, '');
  }
  assert.equal(daemon.context.waiting.size, 0);
});

test('GET /v1/jobs lists newest first, in pages that new jobs do not disturb', async () => {
  daemon.target.behave('hold');
  const ids: string[] = [];
  for (let i = 0; i < 7; i += 1) ids.push(await push('pages', `/tmp/${i}`));
  const seen: string[] = [];
  let after = '';
  for (let page = 0; ; page += 1) {
    const { jobs, next } = JSON.parse((await get(`/v1/jobs?instance=pages&limit=3${after}`)).text);
    for (const job of jobs) seen.push(decodeJob(job).id);
    if (page < 2) await push('pages', `/tmp/new-${page}`);
    if (next === null) break;
    assert.equal(jobs.length, 3);
    after = `&after=${next}`;
  }
  assert.deepEqual(seen, ids.toReversed());
  assert.deepEqual(ids, ids.toSorted());
});

test('GET /v1/jobs filters by state, instance and project', async () => {
  const ok = await push('filters', '/tmp/ok');
  await eventually('it is delivered', async () => (await stateOf(ok)) === 'delivered');
  daemon.target.behave({ fail: 'permission_denied' });
  const bad = await push('filters', '/tmp/bad');
  await eventually('it failed', async () => (await stateOf(bad)) === 'failed');
  daemon.target.behave('hold');
  const other = await push('filters', '/tmp/other', { 'X-Incus-Project': 'p2' });
  await eventually('it is being delivered', async () => (await stateOf(other)) === 'delivering');

  const list = async (query: string): Promise<string[]> => {
    const { jobs } = JSON.parse((await get(`/v1/jobs?${query}`)).text);
    return jobs.map((job: { id: string }) => job.id);
  };
  assert.deepEqual(await list('instance=filters'), [other, bad, ok]);
  assert.deepEqual(await list('instance=filters&state=delivered'), [ok]);
  assert.deepEqual(await list('instance=filters&state=failed'), [bad]);
  assert.deepEqual(await list('instance=filters&state=delivering'), [other]);
  assert.deepEqual(await list('instance=filters&state=queued'), []);
  assert.deepEqual(await list('instance=filters&project=p2'), [other]);
  assert.deepEqual(await list('project=p2&state=delivering'), [other]);
  assert.deepEqual(await list('instance=nobody'), []);
});

for (const query of ['state=odd', 'limit=0', 'limit=-1', 'limit=x', 'limit=1e3', 'after=odd', 'after=%00']) {
  test(`GET /v1/jobs?${query} is 400`, async () => {
    const answer = await get(`/v1/jobs?${query}`);
    assert.equal(answer.status, 400);
    assert.equal(JSON.parse(answer.text).code, 'bad_request');
  });
}

test('GET /v1/jobs/ID?wait answers when the job is finished, or when the time is over', async () => {
  daemon.target.behave('hold');
  const id = await push('web', '/tmp/wait');
  const startedMs = performance.now();
  const early = await get(`/v1/jobs/${id}?wait=1`);
  assert.ok(performance.now() - startedMs >= 950);
  assert.match(JSON.parse(early.text).state, /^(?:queued|delivering)$/);
  const waiting = get(`/v1/jobs/${id}?wait=30`);
  await eventually('it waits', () => daemon.context.waiting.size === 1);
  daemon.target.behave('deliver');
  assert.equal(JSON.parse((await waiting).text).state, 'delivered');
  assert.equal(daemon.context.waiting.size, 0);
  assert.equal((await get(`/v1/jobs/${id}?wait=30`)).status, 200);
  assert.equal((await get(`/v1/jobs/${id}?wait=x`)).status, 400);
});

test('GET /v1/jobs/ID?wait forgets a caller who went away', async () => {
  daemon.target.behave('hold');
  const id = await push('web', '/tmp/wait');
  const connection = await RawConnection.open(daemon.port);
  connection.send(requestText('GET', `/v1/jobs/${id}?wait=30`));
  await eventually('it waits', () => daemon.context.waiting.size === 1);
  connection.destroy();
  await eventually('it is forgotten', () => daemon.context.waiting.size === 0);
});

test('POST /v1/jobs/ID/cancel cancels a job that waits or is being delivered; a finished one is 409', async () => {
  daemon.target.behave('hold');
  const running = await push('cancel', '/tmp/same');
  const behind = await push('cancel', '/tmp/same');
  await eventually('the first is being delivered', async () => (await stateOf(running)) === 'delivering');
  for (const id of [behind, running]) {
    const answer = await post(`/v1/jobs/${id}/cancel`);
    assert.equal(answer.status, 200, answer.text);
    const job = decodeJob(JSON.parse(answer.text));
    assert.deepEqual([job.id, job.state], [id, 'cancelled']);
    const again = await post(`/v1/jobs/${id}/cancel`);
    assert.equal(again.status, 409);
    assert.equal(JSON.parse(again.text).code, 'conflict');
  }
  assert.equal((await post('/v1/jobs/0000000000a/cancel')).status, 404);
  assert.equal((await post('/v1/jobs/odd/cancel')).status, 404);
});

test('POST /v1/jobs/ID/retry queues a failed job again; other states are 409', async () => {
  daemon.target.behave({ fail: 'permission_denied' });
  const id = await push('retry', '/tmp/f');
  await eventually('it failed', async () => (await stateOf(id)) === 'failed');
  daemon.target.behave('hold');
  const answer = await post(`/v1/jobs/${id}/retry`);
  assert.equal(answer.status, 200, answer.text);
  assert.match(decodeJob(JSON.parse(answer.text)).state, /^(?:queued|delivering)$/);
  assert.equal((await post(`/v1/jobs/${id}/retry`)).status, 409);
  daemon.target.behave('deliver');
  await eventually('it is delivered', async () => (await stateOf(id)) === 'delivered');
  assert.equal(daemon.target.files.get('retry:/tmp/f')?.toString(), 'content');
  assert.equal((await post(`/v1/jobs/${id}/retry`)).status, 409);
  assert.equal((await post('/v1/jobs/0000000000a/retry')).status, 404);
});

test('GET /v1/jobs refuses names that nothing can have, also those longer than a key of the journal', async () => {
  for (const query of ['instance', 'project'])
    for (const name of ['a%20b', 'x'.repeat(3000), '%00', '%F0%9F%98%80/'.repeat(200)]) {
      const answer = await request(daemon.port, 'GET', `/v1/jobs?${query}=${name}`);
      assert.equal(answer.status, 400, `${query}=${name.slice(0, 20)}: ${answer.text}`);
      assert.ok(answer.text.length < 1000);
    }
});
