import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { forgetOldJobs } from '../../src/spool/retention.ts';
import { eventually, type Harness, openHarness } from './harness.ts';
import { RawConnection, requestText } from './raw-exchange.ts';
import { request, upload } from './request.ts';

let daemon: Harness;
before(async () => {
  daemon = await openHarness();
});
after(() => daemon.close());

let count = 0;
const newKey = (): string => {
  count += 1;
  return `key-${count}`;
};

async function jobsOf(instance: string): Promise<string[]> {
  const answer = await request(daemon.port, 'GET', `/v1/jobs?instance=${instance}`);
  const ids = JSON.parse(answer.text).jobs.map(({ id }: { id: string }) => id);
  assert.equal(new Set(ids).size, ids.length, 'a job is listed twice');
  return ids;
}

test('the same key and destination again gets the first answer, without the body being read', async () => {
  const headers = { 'Idempotency-Key': newKey() };
  const first = await upload(daemon.port, 'again', '/f', 'first', headers);
  const connection = await RawConnection.open(daemon.port);
  connection.send(
    requestText('POST', '/upload', {
      'X-Container-Name': 'again',
      'X-File-Path': '/f',
      'Content-Length': '1000000',
      Expect: '100-continue',
      ...headers,
    }),
  );
  const second = await connection.answer(0);
  connection.destroy();
  assert.equal(second.status, 202);
  assert.equal(second.headers.get('x-job-id'), first.headers['x-job-id']);
  assert.equal(second.headers.get('location'), first.headers.location);
  assert.equal(second.body, first.text);
  assert.deepEqual(await jobsOf('again'), [first.headers['x-job-id']]);
});

test('the answer to a repeated request tells how the job stands now', async () => {
  const headers = { 'Idempotency-Key': newKey(), Accept: 'application/json' };
  const first = await upload(daemon.port, 'now', '/f', 'x', headers);
  await eventually('it is delivered', () => daemon.target.files.has('now:/f'));
  await eventually('it is written down', () => daemon.context.spool.live.size === 0);
  const second = JSON.parse((await upload(daemon.port, 'now', '/f', 'x', headers)).text);
  assert.equal(second.id, JSON.parse(first.text).id);
  assert.equal(second.state, 'delivered');
});

test('the same key for another destination is 422', async () => {
  const headers = { 'Idempotency-Key': newKey(), Accept: 'application/json' };
  await upload(daemon.port, 'one', '/f', 'x', headers);
  for (const [instance, path, more] of [
    ['two', '/f', {}],
    ['one', '/g', {}],
    ['one', '/f', { 'X-Incus-Project': 'other' }],
  ] as const) {
    const answer = await upload(daemon.port, instance, path, 'x', { ...headers, ...more });
    assert.equal(answer.status, 422);
    assert.equal(JSON.parse(answer.text).code, 'key_reused');
  }
});

for (const size of [10, 100_000]) {
  test(`uploads of ${size} bytes with one key at the same moment become one job`, async () => {
    const instance = `race-${size}`;
    const headers = { 'Idempotency-Key': newKey() };
    const before = daemon.context.stats.uploadsAccepted;
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => upload(daemon.port, instance, '/f', Buffer.alloc(size, 1), headers)),
    );
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([202]));
    assert.equal(new Set(answers.map((answer) => answer.headers['x-job-id'])).size, 1);
    assert.equal((await jobsOf(instance)).length, 1);
    assert.equal(daemon.context.stats.uploadsAccepted, before + 1);
    assert.equal(daemon.target.deliveries.filter((delivery) => delivery.instance === instance).length, 1);
    await eventually('one payload at most is left', () => daemon.payloadFiles().length === 0);
    assert.equal(daemon.context.stats.uploadsUnderWay, 0);
    assert.equal(daemon.reservedBytes(), 0);
  });

  test(`of uploads of ${size} bytes with one key for two places at the same moment, one place wins`, async () => {
    const headers = { 'Idempotency-Key': newKey() };
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        upload(daemon.port, `places-${size}`, `/${i % 2}`, Buffer.alloc(size), headers),
      ),
    );
    const statuses = answers.map(({ status }) => status).toSorted();
    assert.deepEqual(statuses, [202, 202, 202, 202, 202, 422, 422, 422, 422, 422]);
    assert.equal((await jobsOf(`places-${size}`)).length, 1);
  });
}

test('a refused upload does not use up its key', async () => {
  const headers = { 'Idempotency-Key': newKey() };
  const wrong = { 'Repr-Digest': `sha-256=:${Buffer.alloc(32).toString('base64')}:` };
  assert.equal((await upload(daemon.port, 'web', '/f', 'x', { ...headers, ...wrong })).status, 400);
  assert.equal((await upload(daemon.port, 'other', '/f', 'x', headers)).status, 202);
});

test('keys outlive the daemon, and are free again once their job is forgotten', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'incus-upload-keys-'));
  const headers = { 'Idempotency-Key': 'kept' };
  const id = async (harness: Harness): Promise<string> =>
    String((await upload(harness.port, 'web', '/f', 'x', headers)).headers['x-job-id']);
  const first = await openHarness({ stateDir: join(directory, 'state') });
  const original = await id(first);
  await eventually('it is delivered', () => first.context.spool.live.size === 0);
  await first.close();

  const second = await openHarness({ stateDir: join(directory, 'state') });
  assert.equal(await id(second), original);
  await forgetOldJobs(second.context.spool, Date.now() + 1000, () => false);
  assert.equal((await request(second.port, 'GET', `/v1/jobs/${original}`)).status, 404);
  assert.notEqual(await id(second), original);
  await second.close();
  rmSync(directory, { recursive: true });
});
