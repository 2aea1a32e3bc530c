import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { EventStream } from './event-stream.ts';
import { eventually, type Harness, openHarness } from './harness.ts';
import { RawConnection, requestText } from './raw-exchange.ts';
import { type Answer, request, upload } from './request.ts';
import { bearer, giveToken, untilClean } from './token-senders.ts';

let daemon: Harness;
const JSON_WANTED = { Accept: 'application/json' };
const known = (project: string, instance: string, config: Record<string, string> = {}) => ({
  project,
  instance,
  config: new Map(Object.entries(config)),
});

before(async () => {
  daemon = await openHarness({ tcpAccess: 'closed' });
  daemon.target.known = [
    known('default', 'web-2', { 'user.role': 'web' }),
    known('default', 'web-1', { 'user.role': 'web', 'user.tier': 'front' }),
    known('default', 'web-3'),
    known('default', 'db', { 'user.role': 'db' }),
    known('shop', 'web-9', { 'user.role': 'web' }),
  ];
});
after(() => daemon.close());
afterEach(() => untilClean(daemon));

type WireBatch = {
  batch: string;
  jobs: { id: string; instance: string; path: string; batch: string; state: string }[];
};

const push = (
  instance: string,
  headers: Record<string, string | string[]> = {},
  body: string | Buffer = 'x',
  path = '/srv/f',
): Promise<Answer> =>
  upload(daemon.socketPath, instance, path, body, { ...JSON_WANTED, ...headers } as Record<string, string>);
const batchOf = ({ text }: Answer): WireBatch => JSON.parse(text);
const instancesOf = (answer: Answer): string[] => batchOf(answer).jobs.map(({ instance }) => instance);
const codeOf = ({ status, text }: Answer): [number, string] => [status, JSON.parse(text).code];

test('a pattern becomes one job for each instance, under one batch', async () => {
  const answer = await push('web-*');
  assert.equal(answer.status, 202);
  const { batch, jobs } = batchOf(answer);
  assert.match(batch, /^b-[0-9a-z]{11}$/);
  assert.deepEqual(
    jobs.map((job) => [job.instance, job.path, job.batch]),
    ['web-1', 'web-2', 'web-3'].map((instance) => [instance, '/srv/f', batch]),
  );
  assert.equal(answer.headers['x-batch-id'], batch);
  assert.equal(answer.headers.location, `/v1/batches/${batch}`);
  assert.equal(answer.headers['x-job-id'], undefined);
  for (const { instance } of jobs)
    await eventually(instance, () => daemon.target.files.has(`${instance}:/srv/f`));
});

test('a large body is stored once and delivered to each', async () => {
  daemon.target.behave('hold');
  const body = Buffer.alloc(200_000, 'large');
  const answer = await push('web-1,db', {}, body, '/srv/large');
  assert.deepEqual(instancesOf(answer), ['web-1', 'db']);
  assert.equal(daemon.payloadFiles().length, 1);
  daemon.target.behave('deliver');
  for (const name of ['web-1', 'db']) {
    await eventually(name, () => daemon.target.files.get(`${name}:/srv/large`)?.equals(body) === true);
  }
  await eventually('the payload is gone', () => daemon.payloadFiles().length === 0);
});

test('further destinations have paths of their own, and none is meant twice', async () => {
  const also = ['db:/opt/f', 'web-1:/srv/f', 'web-1:/else'];
  const answer = await push('web-1', { 'X-Also-To': also });
  assert.deepEqual(
    batchOf(answer).jobs.map(({ instance, path }) => `${instance}:${path}`),
    ['web-1:/srv/f', 'db:/opt/f', 'web-1:/else'],
  );
});

test('a pattern that matches one instance is a batch, a plain name is none', async () => {
  assert.deepEqual(instancesOf(await push('d*')), ['db']);
  const plain = await push('db');
  assert.equal(plain.headers['x-batch-id'], undefined);
  assert.equal(JSON.parse(plain.text).batch, null);
  const text = await upload(daemon.socketPath, 'd?,web-1', '/srv/f', 'x');
  assert.equal(text.text, `Queued for 2 destinations as batch ${text.headers['x-batch-id']}\n`);
});

test('X-All-With chooses among what a pattern matches, by every choice', async () => {
  assert.deepEqual(instancesOf(await push('', { 'X-All-With': 'user.role=web' })), ['web-1', 'web-2']);
  assert.deepEqual(instancesOf(await push('web-*', { 'X-All-With': ['user.role=web', 'user.tier=front'] })), [
    'web-1',
  ]);
  assert.deepEqual(instancesOf(await push('web-3,*', { 'X-All-With': 'user.role=db' })), ['web-3', 'db']);
});

test('a pattern speaks of the project of the upload alone', async () => {
  assert.deepEqual(instancesOf(await push('web-*', { 'X-Incus-Project': 'shop' })), ['web-9']);
});

test('what matches nothing is refused, and nothing is kept', async () => {
  for (const [name, headers, message] of [
    ['no-*', {}, /^No instance of project default matches no-\*; see: incus-upload instances/],
    ['db,no-*', {}, /matches no-\*/],
    ['*', { 'X-All-With': 'user.role=none' }, /matches \* with user.role=none/],
  ] as const) {
    const answer = await push(name, headers);
    assert.deepEqual(codeOf(answer), [404, 'no_instance_matches']);
    assert.match(JSON.parse(answer.text).detail, message);
  }
  assert.deepEqual(codeOf(await push('web-1,', {})), [400, 'bad_request']);
  assert.equal(daemon.context.spool.live.size, 0);
});

test('while the target does not answer a pattern is refused for now, names are not', async () => {
  daemon.target.behave('away');
  const answer = await push('web-*');
  assert.deepEqual(codeOf(answer), [503, 'not_ready']);
  assert.equal(answer.headers['retry-after'], '5');
  assert.equal((await push('web-1,db')).status, 202);
  daemon.target.behave('deliver');
  await eventually('both are delivered', () => daemon.context.spool.live.size === 0);
});

test('a scope hides instances from patterns, and refuses those that are named', async () => {
  const token = await giveToken(daemon, 'front', { instances: ['web-1', 'web-2'], paths: ['/srv/**'] });
  const send = (instance: string, path = '/srv/f', more: Record<string, string> = {}) =>
    upload(daemon.port, instance, path, 'x', { ...JSON_WANTED, ...bearer(token), ...more });
  assert.deepEqual(instancesOf(await send('*')), ['web-1', 'web-2']);
  assert.deepEqual(codeOf(await send('web-1,db')), [403, 'forbidden']);
  assert.deepEqual(codeOf(await send('web-1', '/srv/f', { 'X-Also-To': 'db:/srv/f' })), [403, 'forbidden']);
  assert.deepEqual(codeOf(await send('web-*', '/etc/f')), [403, 'forbidden']);
  assert.deepEqual(codeOf(await send('d*')), [404, 'no_instance_matches']);
  const reader = await giveToken(daemon, 'looker', { readOnly: true });
  const refused = await upload(daemon.port, '*', '/srv/f', 'x', { ...JSON_WANTED, ...bearer(reader) });
  assert.deepEqual(codeOf(refused), [403, 'forbidden']);
});

test('GET /v1/batches/ID and ?batch= tell the jobs that the caller may see', async () => {
  daemon.target.behave('hold');
  const { batch, jobs } = batchOf(await push('web-*,db'));
  const got = JSON.parse((await request(daemon.socketPath, 'GET', `/v1/batches/${batch}`)).text);
  assert.equal(got.batch, batch);
  assert.equal(
    Object.values<number>(got.counts).reduce((sum, count) => sum + count, 0),
    4,
  );
  assert.deepEqual(
    got.jobs.map(({ id }: { id: string }) => id),
    jobs.map(({ id }) => id),
  );
  const newestFirst = jobs.map(({ id }) => id).reverse();
  const page = JSON.parse((await request(daemon.socketPath, 'GET', `/v1/jobs?batch=${batch}&limit=3`)).text);
  const rest = JSON.parse(
    (await request(daemon.socketPath, 'GET', `/v1/jobs?batch=${batch}&after=${page.next}`)).text,
  );
  assert.deepEqual(
    [...page.jobs, ...rest.jobs].map(({ id }) => id),
    newestFirst,
  );
  const dbOnly = await giveToken(daemon, 'db', { instances: ['db'] });
  const seen = await request(daemon.port, 'GET', `/v1/batches/${batch}`, { headers: bearer(dbOnly) });
  assert.deepEqual(
    batchOf(seen).jobs.map(({ instance }) => instance),
    ['db'],
  );
  const mail = await giveToken(daemon, 'mail', { instances: ['mail'] });
  for (const path of [`/v1/batches/${batch}`, `/v1/jobs?batch=x`, `/v1/events?batch=${batch}`]) {
    const answer = await request(daemon.port, 'GET', path, { headers: bearer(mail) });
    assert.equal(answer.status, 404, path);
  }
  assert.equal((await request(daemon.socketPath, 'GET', `/v1/batches/${jobs[0]?.id}`)).status, 404);
  assert.equal((await request(daemon.socketPath, 'POST', `/v1/batches/${batch}`)).status, 405);
});

test('the same key again is answered with the same batch, whatever instances there are by then', async () => {
  const headers = { 'Idempotency-Key': 'batch-key' };
  const first = await push('web-*', headers);
  daemon.target.known = [...daemon.target.known, known('default', 'web-4')];
  daemon.target.behave('away');
  const again = await push('web-*', headers);
  daemon.target.behave('deliver');
  assert.deepEqual(
    batchOf(again).jobs.map(({ id }) => id),
    batchOf(first).jobs.map(({ id }) => id),
  );
  assert.equal(again.headers['x-batch-id'], first.headers['x-batch-id']);
  for (const [instance, more] of [
    ['web-?', {}],
    ['web-1', {}],
    ['web-*', { 'X-All-With': 'user.role=web' }],
    ['web-*', { 'X-Also-To': 'db:/f' }],
  ] as const)
    assert.deepEqual(codeOf(await push(instance, { ...headers, ...more })), [422, 'key_reused'], instance);
  await push('db', { 'Idempotency-Key': 'plain-key' });
  assert.deepEqual(codeOf(await push('d*', { 'Idempotency-Key': 'plain-key' })), [422, 'key_reused']);
  daemon.target.known = daemon.target.known.filter(({ instance }) => instance !== 'web-4');
});

test('all jobs of a batch count against the queue', async () => {
  daemon.target.behave('hold');
  const { limits } = daemon.context;
  daemon.context.limits = { ...limits, maxQueuedJobs: 4 };
  assert.equal((await push('web-*')).status, 202);
  assert.deepEqual(codeOf(await push('web-1,db')), [503, 'queue_full']);
  assert.equal((await push('db')).status, 202);
  assert.deepEqual(codeOf(await push('db')), [503, 'queue_full']);
  daemon.context.limits = limits;
});

test('GET /v1/events?batch= tells the changes of its jobs alone', async () => {
  daemon.target.behave('hold');
  const { batch, jobs } = batchOf(await push('web-1,db'));
  const stream = await EventStream.open(daemon.socketPath, `?batch=${batch}`);
  await push('web-3');
  daemon.target.behave('deliver');
  const deliveredIn = (): string[] =>
    stream.events
      .map(({ data }) => JSON.parse(data))
      .filter(({ state }) => state === 'delivered')
      .map(({ id }) => id);
  await stream.connection.until(() => deliveredIn().length === 2, 'both are delivered');
  assert.deepEqual(deliveredIn().sort(), jobs.map(({ id }) => id).sort());
  for (const { data } of stream.events) assert.equal(JSON.parse(data).batch, batch);
  stream.close();
});

test('a sender that waits for leave to send is told only once the instances are known', async () => {
  const connection = await RawConnection.open(daemon.socketPath);
  connection.send(
    requestText('POST', '/upload', {
      'X-Container-Name': 'no-*',
      'X-File-Path': '/f',
      'Content-Length': '5',
      Expect: '100-continue',
    }),
  );
  const answer = await connection.answer(0);
  assert.equal(answer.status, 404);
  connection.destroy();
});

test('every job of a batch is written to the audit log', async () => {
  const before = daemon.audits.length;
  const { jobs } = batchOf(await push('web-*'));
  const audited = daemon.audits.slice(before).map(({ outcome, record }) => `${outcome} ${record.instance}`);
  assert.deepEqual(
    audited,
    jobs.map(({ instance }) => `accepted ${instance}`),
  );
});
