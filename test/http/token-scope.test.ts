/** What the scope of a token means on every route. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { revokeToken } from '../../src/spool/token-directory.ts';
import { EventStream } from './event-stream.ts';
import { eventually, type Harness, openHarness } from './harness.ts';
import { type Answer, upload } from './request.ts';
import { ask, bearer, giveToken, send, untilClean } from './token-senders.ts';

let daemon: Harness;
let all: string;
let web: string;
let reader: string;
before(async () => {
  daemon = await openHarness({ tcpAccess: 'closed' });
  all = await giveToken(daemon, 'all');
  web = await giveToken(daemon, 'web', {
    instances: ['web-*'],
    paths: ['/srv/**', '/etc/motd'],
    maxUploadSizeBytes: 10,
  });
  reader = await giveToken(daemon, 'reader', { readOnly: true });
});
after(() => daemon.close());
afterEach(() => untilClean(daemon));

const codeOf = ({ text }: Answer): string => JSON.parse(text).code;
const idOf = ({ headers }: Answer): string => String(headers['x-job-id']);

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
    const answer = await send(daemon, name === 'web' ? web : reader, instance, path, headers);
    if (path.includes('..')) assert.equal(answer.status, 400);
    else {
      assert.deepEqual([answer.status, codeOf(answer)], [403, 'forbidden']);
      assert.match(String(answer.headers['www-authenticate']), /error="insufficient_scope"/);
      assert.match(JSON.parse(answer.text).detail, new RegExp(`^The token ${name} `));
    }
  });
}

test('the scope is judged on the cleaned path', async () => {
  assert.equal((await send(daemon, web, 'web-1', '//etc/.//motd')).status, 202);
  assert.equal((await send(daemon, web, 'web-1', '/etc//', { 'X-Host-Path': '/home/me/motd' })).status, 202);
  assert.equal((await send(daemon, web, 'web-1', '/srv/.', { 'X-Host-Path': 'f' })).status, 202);
});

test('a file for one path cannot become one in a directory of that name', async () => {
  const job = JSON.parse((await send(daemon, web, 'web-1', '/etc/motd', { 'X-Host-Path': 'evil' })).text);
  assert.equal(job.source_name, null);
  const kept = JSON.parse((await send(daemon, web, 'web-1', '/srv/f', { 'X-Host-Path': 'good' })).text);
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
  assert.equal(JSON.parse((await ask(daemon, web, 'GET', '/v1/info')).text).limits.max_upload_size, 10);
});

test('jobs outside of the scope are not there, and those inside may be touched', async () => {
  daemon.target.behave('hold');
  const foreign = idOf(await send(daemon, all, 'db', '/srv/f'));
  const elsewhere = idOf(await send(daemon, all, 'web-1', '/root/f'));
  const inside = idOf(await send(daemon, all, 'web-1', '/srv/f'));
  for (const id of [foreign, elsewhere]) {
    for (const [method, path] of [
      ['GET', `/v1/jobs/${id}`],
      ['GET', `/v1/jobs/${id}?wait=5`],
      ['POST', `/v1/jobs/${id}/cancel`],
      ['POST', `/v1/jobs/${id}/retry`],
      ['GET', `/v1/events?job=${id}`],
    ] as const) {
      const answer = await ask(daemon, web, method, path);
      // The same words as for an id that was never given out.
      assert.deepEqual([answer.status, JSON.parse(answer.text).detail], [404, `There is no job ${id}`], path);
    }
  }
  assert.equal((await ask(daemon, web, 'GET', `/v1/jobs/${inside}`)).status, 200);
  assert.equal((await ask(daemon, reader, 'POST', `/v1/jobs/${inside}/cancel`)).status, 403);
  assert.equal((await ask(daemon, reader, 'GET', `/v1/jobs/${inside}`)).status, 200);
  assert.equal((await ask(daemon, web, 'POST', `/v1/jobs/${inside}/cancel`)).status, 200);
  assert.equal(daemon.audits.at(-1)?.outcome, 'cancel');
  assert.equal(daemon.audits.at(-1)?.caller.submittedBy, 'token:web');
});

test('lists hold what the scope covers, whole, in order and page by page', async () => {
  const mine: string[] = [];
  for (let i = 0; i < 12; i += 1) {
    await send(daemon, all, i % 2 === 0 ? 'db' : 'web-1', `/root/${i}`);
    mine.push(idOf(await send(daemon, all, 'web-9', `/srv/${i}`)));
  }
  const seen: string[] = [];
  let after = '';
  do {
    const page = JSON.parse(
      (await ask(daemon, web, 'GET', `/v1/jobs?instance=web-9&limit=5&after=${after}`)).text,
    );
    assert.ok(page.jobs.length <= 5);
    seen.push(...page.jobs.map(({ id }: { id: string }) => id));
    after = page.next ?? '';
  } while (after !== '');
  assert.deepEqual(seen, mine.reverse());
  const { jobs } = JSON.parse((await ask(daemon, web, 'GET', '/v1/jobs?limit=1000')).text);
  assert.ok(
    jobs.every(
      ({ instance, path }: { instance: string; path: string }) =>
        instance.startsWith('web-') && /^\/(srv|etc)\//.test(path),
    ),
  );
  assert.equal(JSON.parse((await ask(daemon, web, 'GET', '/v1/jobs?instance=db')).text).jobs.length, 0);
});

test('events outside of the scope are not told, and the stream ends with the token', async () => {
  const short = await giveToken(daemon, 'short', { instances: ['web-*'] });
  const stream = await EventStream.open(daemon.port, '', bearer(short));
  await send(daemon, all, 'db', '/srv/f');
  const id = idOf(await send(daemon, all, 'web-1', '/srv/f'));
  const events = await stream.until(3);
  assert.deepEqual(new Set(events.map(({ data }) => JSON.parse(data).id)), new Set([id]));
  await revokeToken(daemon.stateDir, 'short');
  await send(daemon, all, 'web-1', '/srv/g');
  await eventually('nobody watches', () => daemon.context.waiting.size === 0);
  stream.close();
});

test('sums over all jobs are for tokens that see all jobs', async () => {
  const limited = JSON.parse((await ask(daemon, web, 'GET', '/v1/info')).text);
  assert.deepEqual([limited.jobs, limited.uploads, limited.free_bytes], [null, null, null]);
  assert.equal(limited.reachable, true);
  assert.equal((await ask(daemon, web, 'GET', '/metrics')).status, 403);
  for (const text of [all, reader]) {
    assert.ok(JSON.parse((await ask(daemon, text, 'GET', '/v1/info')).text).jobs.delivered > 0);
    assert.equal((await ask(daemon, text, 'GET', '/metrics')).status, 200);
  }
});

test('an Idempotency-Key is its sender’s own', async () => {
  const key = { 'Idempotency-Key': 'shared' };
  const first = idOf(await send(daemon, all, 'web-1', '/srv/f', key));
  const other = await send(daemon, web, 'web-1', '/srv/f', key);
  assert.notEqual(idOf(other), first);
  const local = await upload(daemon.socketPath, 'web-1', '/srv/f', 'content', key);
  assert.equal(new Set([first, idOf(other), idOf(local)]).size, 3);
  assert.equal(idOf(await send(daemon, all, 'web-1', '/srv/f', key)), first);
});

test('an Idempotency-Key tells nothing of a job that the token no longer covers', async () => {
  const before = await giveToken(daemon, 'moved');
  await send(daemon, before, 'db', '/root/secret', { 'Idempotency-Key': 'k' });
  await revokeToken(daemon.stateDir, 'moved');
  const now = await giveToken(daemon, 'moved', { instances: ['web-*'] });
  const answer = await send(daemon, now, 'web-1', '/srv/f', { 'Idempotency-Key': 'k' });
  assert.equal(answer.status, 422);
  assert.doesNotMatch(answer.text, /db|secret/);
});
