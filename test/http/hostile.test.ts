import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { eventually, type Harness, openHarness } from './harness.ts';
import { type RawAnswer, RawConnection, requestText } from './raw-exchange.ts';
import { upload } from './request.ts';

let daemon: Harness;
before(async () => {
  daemon = await openHarness({ limits: { bodyTimeoutMs: 1000 } });
  for (const server of daemon.servers) server.headersTimeout = 500;
});
after(() => daemon.close());
/** Whatever came: the daemon lives, and nothing of it is left. */
afterEach(async () => {
  daemon.target.files.clear();
  assert.equal((await upload(daemon.port, 'alive', '/f', 'x')).status, 202);
  await eventually('an upload goes through', () => daemon.target.files.has('alive:/f'));
  await eventually('nothing is under way', () => daemon.context.stats.uploadsUnderWay === 0);
  await eventually('nothing is queued', () => daemon.context.spool.live.size === 0);
  await eventually('nothing is left', () => daemon.payloadFiles().length === 0);
  assert.equal(daemon.reservedBytes(), 0);
});

const TO = { 'X-Container-Name': 'web', 'X-File-Path': '/tmp/f' };
const HEAD = 'POST /upload HTTP/1.1\r\nHost: x\r\nX-Container-Name: web\r\nX-File-Path: /tmp/f\r\n';

/** The answers to these bytes until the connection ends; the sender goes away once it has one. */
async function answersTo(bytes: string): Promise<readonly RawAnswer[]> {
  const connection = await RawConnection.open(daemon.port);
  connection.send(bytes);
  await connection.until(() => connection.closed || connection.answers.length > 0, 'answer or end');
  connection.socket.end();
  await connection.untilClosed();
  return connection.answers;
}

const REFUSED: readonly [string, string][] = [
  ['a length and chunks', `${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['chunks and a length', `${HEAD}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`],
  ['two lengths', `${HEAD}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`],
  ['two equal lengths', `${HEAD}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`],
  ['a list of lengths', `${HEAD}Content-Length: 5, 5\r\n\r\nhello`],
  ['a negative length', `${HEAD}Content-Length: -5\r\n\r\nhello`],
  ['a length with a sign', `${HEAD}Content-Length: +5\r\n\r\nhello`],
  ['a hexadecimal length', `${HEAD}Content-Length: 0x5\r\n\r\nhello`],
  ['a length beyond 64 bits', `${HEAD}Content-Length: 99999999999999999999999\r\n\r\nhello`],
  ['a bad chunk size', `${HEAD}Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n`],
  ['a negative chunk size', `${HEAD}Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n`],
  [
    'a chunk size beyond 64 bits',
    `${HEAD}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n`,
  ],
  ['a chunk longer than it says', `${HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n`],
  ['another coding after chunks', `${HEAD}Transfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n`],
  [
    'chunks twice',
    `${HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
  ],
  ['an obscured coding', `${HEAD}Transfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`],
  ['a blank before the colon', `${HEAD}Content-Length : 5\r\n\r\nhello`],
  ['a folded header', `${HEAD}X-Host-Path: a\r\n b\r\nContent-Length: 5\r\n\r\nhello`],
  ['a NUL in a header', `${HEAD}X-Host-Path: a\0b\r\nContent-Length: 5\r\n\r\nhello`],
  ['an ESC in a header', `${HEAD}X-Host-Path: a\x1b[31mb\r\nContent-Length: 5\r\n\r\nhello`],
  ['a bare CR in a header', `${HEAD}X-Host-Path: a\rb\r\nContent-Length: 5\r\n\r\nhello`],
  ['a header without a colon', `${HEAD}nonsense\r\nContent-Length: 5\r\n\r\nhello`],
  ['a header without a name', `${HEAD}: x\r\nContent-Length: 5\r\n\r\nhello`],
  [
    'no Host',
    'POST /upload HTTP/1.1\r\nX-Container-Name: web\r\nX-File-Path: /f\r\nContent-Length: 1\r\n\r\nx',
  ],
  ['too large headers', `${HEAD}X-Big: ${'x'.repeat(20_000)}\r\nContent-Length: 5\r\n\r\nhello`],
  ['too long a request line', `POST /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
  ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ['HTTP/2 by prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['another version of HTTP', 'POST /upload HTTP/3.7\r\nHost: x\r\n\r\n'],
  ['no version', 'GET /healthz\r\n\r\n'],
  ['an unknown method', 'STEAL /upload HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['a NUL in the target', 'GET /health\0z HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['a raw line break in the target', 'GET /a\nb HTTP/1.1\r\nHost: x\r\n\r\n'],
  [
    'latin1 that is no UTF-8 in a path',
    `${HEAD.replace('/tmp/f', '/tmp/\xe4\xf6\xfc')}Content-Length: 5\r\n\r\nhello`,
  ],
  ['overlong UTF-8', `${HEAD.replace('/tmp/f', '/tmp/\xc0\xae\xc0\xae/x')}Content-Length: 5\r\n\r\nhello`],
  ['a surrogate in UTF-8', `${HEAD.replace('/tmp/f', '/tmp/\xed\xa0\x80')}Content-Length: 5\r\n\r\nhello`],
  ['a path given twice', `${HEAD}X-File-Path: /etc/passwd\r\nContent-Length: 5\r\n\r\nhello`],
  ['an instance given twice', `${HEAD}X-Container-Name: other\r\nContent-Length: 5\r\n\r\nhello`],
];
for (const [what, bytes] of REFUSED) {
  test(`${what}: refused with 4xx or closed`, async () => {
    const logged = daemon.refusals.length;
    const answers = await answersTo(bytes);
    assert.ok(daemon.refusals.length >= logged + answers.length);
    for (const { status } of answers) assert.ok(status >= 400 && status < 500, `${status}`);
    assert.ok(answers.length <= 1);
    assert.equal(daemon.target.deliveries.filter(({ instance }) => instance === 'web').length, 0);
  });
}

test('more than a hundred headers are refused, not left out', async () => {
  const many = Array.from({ length: 100 }, (_, i) => `X-${i}: y\r\n`).join('');
  const [answer] = await answersTo(`${HEAD}${many}Content-Length: 5\r\n\r\nhello`);
  assert.equal(answer?.status, 431);
});

test('an HTTP/1.0 upload is taken, and answered with a closed connection', async () => {
  const connection = await RawConnection.open(daemon.port);
  connection.send(`${HEAD.replace('HTTP/1.1', 'HTTP/1.0')}Content-Length: 5\r\n\r\nhello`);
  assert.equal((await connection.answer(0)).status, 202);
  await connection.untilClosed();
});

test('bytes after a whole request do not become the answer to it', async () => {
  const connection = await RawConnection.open(daemon.port);
  connection.send(`${requestText('POST', '/upload', TO, 'hello')}\x00\x01nonsense\r\n\r\n`);
  assert.equal((await connection.answer(0)).status, 202);
  await connection.untilClosed();
  assert.ok(connection.answers.slice(1).every(({ status }) => status === 400));
});

test('what comes behind a refusal that ends the connection is not run', async () => {
  const connection = await RawConnection.open(daemon.port);
  const behind = { 'X-Container-Name': 'behind', 'X-File-Path': '/f' };
  connection.send(
    requestText('POST', '/upload', { 'X-File-Path': '/f' }, 'x') +
      requestText('POST', '/upload', behind, 'y'),
  );
  const answer = await connection.answer(0);
  assert.deepEqual([answer.status, answer.headers.get('connection')], [400, 'close']);
  await connection.untilClosed();
  assert.equal(connection.answers.length, 1);
  // Whatever was begun before this one is accepted before it.
  assert.equal((await upload(daemon.port, 'after', '/f', 'x')).status, 202);
  assert.equal(daemon.audits.filter(({ record }) => record.instance === 'behind').length, 0);
});

test('a request hidden in a body is not run', async () => {
  const hidden = requestText('POST', '/upload', { 'X-Container-Name': 'hidden', 'X-File-Path': '/f' }, 'x');
  assert.equal((await answersTo(requestText('POST', '/upload', TO, hidden)))[0]?.status, 202);
  await answersTo(`${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`);
  await answersTo(requestText('POST', '/upload', { ...TO, 'X-File-Path': 'relative' }, hidden));
  assert.equal(daemon.target.deliveries.filter(({ instance }) => instance === 'hidden').length, 0);
});

test('an unknown expectation is refused', async () => {
  const [answer] = await answersTo(requestText('POST', '/upload', { ...TO, Expect: 'the impossible' }, 'x'));
  assert.equal(answer?.status, 400);
});

test('CONNECT, an upgrade and a wrong answer to 100-continue change nothing', async () => {
  await answersTo('CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n');
  const [upgrade] = await answersTo(
    requestText('GET', '/healthz', { Connection: 'Upgrade', Upgrade: 'websocket' }),
  );
  assert.equal(upgrade?.status, 200);
});

test('names in percent-encoding may hold anything that Linux allows', async () => {
  const path = '/tmp/a\nb\u001b[31mc\td';
  const [answer] = await answersTo(
    requestText(
      'POST',
      '/upload',
      { 'X-Container-Name': 'web', 'X-File-Path*': `UTF-8''${encodeURIComponent(path)}` },
      'x',
    ),
  );
  assert.equal(answer?.status, 202);
  await eventually('it is delivered', () => daemon.target.files.has(`web:${path}`));
  daemon.target.deliveries.length = 0;
});

test('the sentence of a refusal stays one line whatever the sender sent', async () => {
  for (const evil of ['a%0d%0aSet-Cookie:%20x', 'a%0ab', 'a%e2%80%a8b', 'a%c2%85b', 'a%1b%5b31m']) {
    const [answer] = await answersTo(
      requestText('POST', '/upload', { 'X-Container-Name*': `UTF-8''${evil}`, 'X-File-Path': '/f' }, 'x'),
    );
    assert.equal(answer?.status, 400);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
    assert.match(answer?.body ?? '', /^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+\n$/);
  }
});
