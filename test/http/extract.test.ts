/** POST /upload with X-Extract: archives that are unpacked. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { decodeJob } from '../../src/protocol/job-wire.ts';
import { type ArchiveEntry, createArchive } from '../delivery/tree-builder.ts';
import { eventually, type Harness, openHarness } from './harness.ts';
import { type RequestBody, request, upload } from './request.ts';
import { bearer, giveToken } from './token-senders.ts';

let daemon: Harness;
before(async () => {
  daemon = await openHarness({ tcpAccess: 'closed' });
});
after(() => daemon.close());
beforeEach(() => daemon.target.files.clear());

const JSON_PLEASE = { 'X-Extract': 'tar', Accept: 'application/json' };
const codeOf = (text: string): string => JSON.parse(text).code;

async function send202(body: RequestBody, headers: Record<string, string> = {}, path = '/srv/app') {
  const answer = await upload(daemon.socketPath, 'web', path, body, { ...JSON_PLEASE, ...headers });
  assert.equal(answer.status, 202, answer.text);
  return decodeJob(JSON.parse(answer.text));
}

async function refused(body: RequestBody, headers: Record<string, string> = {}): Promise<string> {
  await eventually('earlier jobs are done', () => daemon.context.spool.live.size === 0);
  daemon.target.files.clear();
  const answer = await upload(daemon.socketPath, 'web', '/srv/app', body, { ...JSON_PLEASE, ...headers });
  assert.equal(answer.status, 400, answer.text);
  await eventually('nothing is kept', () => daemon.payloadFiles().length === 0);
  assert.equal(daemon.context.spool.live.size, 0);
  assert.equal(daemon.reservedBytes(), 0);
  assert.deepEqual([...daemon.target.files], []);
  return codeOf(answer.text);
}

const many = (count: number, bytes: number): ArchiveEntry[] =>
  Array.from({ length: count }, (_, at) => ({ name: `d${at % 7}/f${at}`, content: randomBytes(bytes) }));

test('an archive becomes one job that knows how many files it has, and how many are done', async () => {
  for (const entries of [many(5, 100), many(40, 9000)]) {
    const archive = createArchive([{ name: 'd0/' }, ...entries, { name: 'link', link: 'd0' }]);
    const job = await send202(archive);
    assert.deepEqual(
      [job.extract, job.filesTotal, job.filesDone, job.size],
      ['tar', entries.length + 1, 0, archive.length],
    );
    await eventually('it is delivered', () => daemon.target.files.size === entries.length + 1);
    for (const { name, content } of entries)
      assert.deepEqual(daemon.target.files.get(`web:/srv/app/${name}`), content);
    const answer = await request(daemon.socketPath, 'GET', `/v1/jobs/${job.id}?wait=10`);
    const done = decodeJob(JSON.parse(answer.text));
    assert.deepEqual(
      [done.state, done.filesDone, done.filesTotal],
      ['delivered', job.filesTotal, job.filesTotal],
    );
    daemon.target.files.clear();
  }
});

test('an archive comes in chunks of any size, with a digest and a key', async () => {
  const archive = createArchive(many(30, 5000));
  const chunks: Buffer[] = [];
  for (let at = 0; at < archive.length; at += 1777) chunks.push(archive.subarray(at, at + 1777));
  const digest = createHash('sha256').update(archive).digest('base64');
  const headers = { 'Repr-Digest': `sha-256=:${digest}:`, 'Idempotency-Key': 'archive' };
  const job = await send202(chunks, headers, '/srv/app/');
  assert.equal(job.filesTotal, 30);
  assert.equal((await send202(archive, headers, '/srv/app/')).id, job.id);
  const file = await upload(daemon.socketPath, 'web', '/srv/app/', 'x', {
    ...{ 'Idempotency-Key': 'archive', 'X-Host-Path': 'f', Accept: 'application/json' },
  });
  assert.equal(codeOf(file.text), 'key_reused');
});

test('an archive that is not safe is refused and nothing of it is kept, wherever that shows', async () => {
  const large = many(60, 9000);
  const unsafe: ArchiveEntry[] = [
    { name: '../out', content: 'x' },
    { name: '/etc/passwd', content: 'x' },
    { name: 'null', type: '3' },
    { name: 'hard', hardLink: '/etc/passwd' },
  ];
  for (const entry of unsafe)
    assert.equal(await refused(createArchive([{ name: 'a' }, entry])), 'unsafe_archive', entry.name);
  const through = [
    { name: 'up', link: '..' },
    { name: 'up/out', content: 'x' },
  ];
  assert.equal(await refused(createArchive(through)), 'unsafe_archive');
  assert.equal(await refused(createArchive([...large, ...unsafe.slice(0, 1)])), 'unsafe_archive');
});

test('what is no whole archive is refused and nothing of it is kept', async () => {
  const archive = createArchive(many(60, 9000));
  assert.equal(await refused('no archive'), 'bad_request');
  assert.equal(await refused(''), 'bad_request');
  assert.equal(await refused(randomBytes(300_000)), 'bad_request');
  assert.equal(await refused(archive.subarray(0, 200_000)), 'bad_request');
  assert.equal(await refused(Buffer.concat([archive, Buffer.alloc(512, 1)])), 'bad_request');
  assert.equal(await refused(archive, { 'X-Extract': 'zip' }), 'bad_request');
});

test('a token that is held to paths may send archives below them, without links that lead up', async () => {
  const token = await giveToken(daemon, 'held', { paths: ['/srv/**'] });
  const statusOf = async (path: string, entries: ArchiveEntry[]) =>
    (await upload(daemon.port, 'web', path, createArchive(entries), { ...bearer(token), 'X-Extract': 'tar' }))
      .status;
  assert.equal(await statusOf('/srv/app', [{ name: 'a', link: 'b/c' }]), 202);
  assert.equal(await statusOf('/srv/app', [{ name: 'a', link: '../b' }]), 403);
  assert.equal(await statusOf('/srv/app', [{ name: 'a', link: '/etc' }]), 403);
  assert.equal(await statusOf('/etc', [{ name: 'a' }]), 403);
});
