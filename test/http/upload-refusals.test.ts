import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, type Harness, openHarness } from './harness.ts';
import { exchange, requestText } from './raw-exchange.ts';
import { upload } from './request.ts';

let daemon: Harness;
before(async () => {
  daemon = await openHarness({ limits: { maxUploadSizeBytes: 8 << 20 } });
});
after(() => daemon.close());

const TO = { 'X-Container-Name': 'web', 'X-File-Path': '/tmp/f' };

const BAD_HEADERS: readonly [string, Record<string, string>, number, RegExp][] = [
  ['no instance', { 'X-File-Path': '/f' }, 400, /X-Container-Name/],
  ['no path', { 'X-Container-Name': 'web' }, 400, /X-File-Path/],
  ['an empty path', { ...TO, 'X-File-Path': '' }, 400, /X-File-Path/],
  ['a relative path', { ...TO, 'X-File-Path': 'tmp/f' }, 400, /X-File-Path/],
  ['a path with ..', { ...TO, 'X-File-Path': '/tmp/../etc/passwd' }, 400, /\.\./],
  [
    'a path with .. percent-encoded',
    { 'X-Container-Name': 'web', 'X-File-Path*': "UTF-8''/tmp/%2e%2e/etc" },
    400,
    /\.\./,
  ],
  ['a NUL in a path', { 'X-Container-Name': 'web', 'X-File-Path*': "UTF-8''/tmp/a%00b" }, 400, /NUL/],
  [
    'an invalid percent-encoding',
    { 'X-Container-Name': 'web', 'X-File-Path*': "UTF-8''/tmp/%zz" },
    400,
    /X-File-Path/,
  ],
  ['another charset', { 'X-Container-Name': 'web', 'X-File-Path*': "ISO-8859-1''/tmp/%e4" }, 400, /UTF-8/],
  ['bytes that are no UTF-8', { ...TO, 'X-File-Path': '/tmp/\xff\xfe' }, 400, /UTF-8/],
  ['a long name', { ...TO, 'X-File-Path': `/${'n'.repeat(256)}` }, 400, /255/],
  ['a long path', { ...TO, 'X-File-Path': '/n'.repeat(2100) }, 400, /4095/],
  ['a bad instance', { ...TO, 'X-Container-Name': 'a/b' }, 400, /X-Container-Name/],
  ['a bad project', { ...TO, 'X-Incus-Project': 'a b' }, 400, /X-Incus-Project/],
  ['a bad mode', { ...TO, 'X-File-Mode': '0888' }, 400, /X-File-Mode/],
  ['a bad uid', { ...TO, 'X-File-Uid': '-1' }, 400, /X-File-Uid/],
  ['a bad gid', { ...TO, 'X-File-Gid': '99999999999' }, 400, /X-File-Gid/],
  ['a bad X-Create-Dirs', { ...TO, 'X-Create-Dirs': 'perhaps' }, 400, /X-Create-Dirs/],
  ['an empty key', { ...TO, 'Idempotency-Key': '' }, 400, /Idempotency-Key/],
  ['a bad digest', { ...TO, 'Repr-Digest': 'sha-256=:abc:' }, 400, /Repr-Digest/],
  ['a directory without a name', { ...TO, 'X-File-Path': '/tmp/' }, 400, /X-Host-Path/],
  ['too large a body', { ...TO, 'Content-Length': String((8 << 20) + 1) }, 413, /8388608/],
];
for (const [what, headers, status, message] of BAD_HEADERS) {
  test(`POST /upload refuses ${what} before the body, as text and as a problem document`, async () => {
    const text = await exchange(daemon.port, requestText('POST', '/upload', headers));
    assert.equal(text.status, status);
    assert.match(text.body, message);
    assert.match(text.body, /^[^\n]+\n$/);
    assert.match(text.headers.get('content-type') ?? '', /^text\/plain/);
    const json = await exchange(
      daemon.port,
      requestText('POST', '/upload', { ...headers, Accept: 'application/json' }),
    );
    assert.equal(json.status, status);
    assert.equal(json.headers.get('content-type'), 'application/problem+json');
    const problem = JSON.parse(json.body);
    assert.deepEqual(Object.keys(problem).sort(), ['code', 'detail', 'status', 'title', 'type']);
    assert.equal(problem.status, status);
    assert.match(problem.detail, message);
    assert.match(problem.code, /^(?:bad_request|name_too_long|too_large)$/);
    assert.equal(daemon.context.stats.uploadsUnderWay, 0);
  });
}

test('POST /upload without a length and not chunked is 411', async () => {
  const { Host, ...to } = { Host: 'x', ...TO };
  const lines = Object.entries(to).map(([name, value]) => `${name}: ${value}\r\n`);
  const answer = await exchange(
    daemon.port,
    `POST /upload HTTP/1.1\r\nHost: ${Host}\r\nAccept: application/json\r\n${lines.join('')}\r\n`,
  );
  assert.equal(answer.status, 411);
  assert.equal(JSON.parse(answer.body).code, 'length_required');
});

test('POST /upload refuses a transfer coding that it does not know, and a part of a file', async () => {
  const coded = await exchange(
    daemon.port,
    requestText('POST', '/upload', { ...TO, 'Transfer-Encoding': 'gzip, chunked' }, '1\r\nx\r\n0\r\n\r\n'),
  );
  assert.equal(coded.status, 400);
  const part = await exchange(
    daemon.port,
    requestText('PUT', '/upload', { ...TO, 'Content-Range': 'bytes 0-2/10' }, 'abc'),
  );
  assert.equal(part.status, 400);
  assert.equal(daemon.target.files.size, 0);
});

test('POST /upload cuts a chunked body that grows too large', async () => {
  const answer = await upload(
    daemon.port,
    'web',
    '/tmp/f',
    Array.from({ length: 9 }, () => Buffer.alloc(1 << 20)),
    { Accept: 'application/json' },
  );
  assert.equal(answer.status, 413);
  assert.equal(JSON.parse(answer.text).code, 'too_large');
  await eventually('nothing is left', () => daemon.payloadFiles().length === 0);
  assert.equal(daemon.context.stats.uploadsUnderWay, 0);
});
