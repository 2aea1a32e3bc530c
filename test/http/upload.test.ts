import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { decodeJob } from '../../src/protocol/job-wire.ts';
import { eventually, type Harness, openHarness } from './harness.ts';
import { exchange, RawConnection, requestText } from './raw-exchange.ts';
import { request, upload } from './request.ts';

let daemon: Harness;
before(async () => {
  daemon = await openHarness({ limits: { maxUploadSizeBytes: 8 << 20 } });
});
after(() => daemon.close());
beforeEach(() => daemon.target.files.clear());

const TO = { 'X-Container-Name': 'web', 'X-File-Path': '/tmp/f' };

async function delivered(key: string): Promise<Buffer> {
  await eventually(`${key} is delivered`, () => daemon.target.files.has(key));
  return daemon.target.files.get(key) ?? Buffer.alloc(0);
}

test('POST /upload takes a file as older clients send it, and answers with one line that names the instance', async () => {
  const answer = await request(daemon.port, 'POST', '/upload', {
    headers: {
      'X-Container-Name': 'web-1',
      'X-Host-Path': '/home/me/report.pdf',
      'X-File-Path': '/root/report.pdf',
      'Content-Type': 'application/octet-stream',
    },
    body: 'content of the report',
  });
  assert.equal(answer.status, 202);
  assert.match(answer.text, /^[^\n]*\bQueued for web-1\b[^\n]*\n$/);
  assert.match(String(answer.headers['content-type']), /^text\/plain/);
  const id = String(answer.headers['x-job-id']);
  assert.match(id, /^[0-9a-hjkmnp-tv-z]{11}$/);
  assert.equal(answer.headers.location, `/v1/jobs/${id}`);
  assert.equal((await delivered('web-1:/root/report.pdf')).toString(), 'content of the report');
});

for (const method of ['POST', 'PUT']) {
  for (const way of ['unix socket', 'TCP']) {
    test(`${method} /upload over ${way} delivers files of every size, with a declared length and chunked`, async () => {
      const address = way === 'TCP' ? daemon.port : daemon.socketPath;
      const sizes = [0, 1, 65_535, 65_536, 65_537, 1 << 20, (3 << 20) + 7];
      for (const size of sizes) {
        const bytes = randomBytes(size);
        for (const body of [bytes, [bytes.subarray(0, size >> 1), bytes.subarray(size >> 1)]]) {
          daemon.target.files.clear();
          const answer = await request(address, method, '/upload', {
            headers: { ...TO, Accept: 'application/json' },
            body,
          });
          assert.equal(answer.status, 202, answer.text);
          assert.equal(JSON.parse(answer.text).size, size);
          assert.deepEqual(await delivered('web:/tmp/f'), bytes, `${size} bytes`);
        }
      }
      assert.equal(daemon.context.stats.uploadsUnderWay, 0);
      assert.equal(daemon.reservedBytes(), 0);
    });
  }
}

test('POST /upload puts a file into a directory under the base name of X-Host-Path', async () => {
  const answer = await upload(daemon.port, 'web', '/srv/', 'x', { 'X-Host-Path': '/a/b/name.txt' });
  assert.equal(answer.status, 202);
  await delivered('web:/srv/name.txt');
});

test('POST /upload answers with the whole job when JSON is accepted', async () => {
  const answer = await upload(daemon.port, 'web', '/tmp/f', 'abc', {
    Accept: 'application/json',
    'X-Incus-Project': 'p1',
    'X-File-Mode': '4755',
    'X-File-Uid': '1000',
    'X-File-Gid': '33',
    'X-Create-Dirs': 'false',
    'X-Host-Path': 'name',
  });
  assert.equal(answer.status, 202);
  assert.equal(answer.headers['content-type'], 'application/json');
  const job = decodeJob(JSON.parse(answer.text));
  assert.equal(job.id, answer.headers['x-job-id']);
  const { project, mode, uid, gid, createDirs, sourceName, size } = job;
  assert.deepEqual(
    { project, mode, uid, gid, createDirs, sourceName, size },
    { project: 'p1', mode: 0o4755, uid: 1000, gid: 33, createDirs: false, sourceName: 'name', size: 3 },
  );
});

test('POST /upload reads raw UTF-8 in header values, and RFC 8187 values', async () => {
  const name = 'Übergrößen – 日本語 🎉.txt';
  const raw = await exchange(
    daemon.port,
    Buffer.from(
      `POST /upload HTTP/1.1\r\nHost: x\r\nX-Container-Name: web\r\nX-File-Path: /tmp/${name}\r\nContent-Length: 3\r\n\r\nraw`,
    ),
  );
  assert.equal(raw.status, 202);
  assert.equal((await delivered(`web:/tmp/${name}`)).toString(), 'raw');
  daemon.target.files.clear();
  const extended = await exchange(
    daemon.port,
    requestText(
      'POST',
      '/upload',
      { 'X-Container-Name': 'web', 'X-File-Path*': `UTF-8''${encodeURIComponent(`/tmp/${name}`)}` },
      'ext',
    ),
  );
  assert.equal(extended.status, 202);
  assert.equal((await delivered(`web:/tmp/${name}`)).toString(), 'ext');
});

test('POST /upload checks Repr-Digest and keeps nothing of a body that does not match', async () => {
  const base64 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('base64');
  for (const size of [3, 100_000]) {
    const bytes = randomBytes(size);
    await eventually('all is delivered', () => daemon.context.spool.live.size === 0);
    const wrong = await upload(daemon.port, 'web', '/tmp/f', bytes, {
      'Repr-Digest': `sha-256=:${base64(Buffer.from('other'))}:`,
      Accept: 'application/json',
    });
    assert.equal(wrong.status, 400);
    assert.equal(JSON.parse(wrong.text).code, 'digest_mismatch');
    await eventually('nothing is left', () => daemon.payloadFiles().length === 0);
    assert.equal(daemon.context.spool.live.size, 0);
    const right = await upload(daemon.port, 'web', '/tmp/f', bytes, {
      'Repr-Digest': `sha-256=:${base64(bytes)}:`,
      Accept: 'application/json',
    });
    assert.equal(right.status, 202);
    assert.equal(JSON.parse(right.text).sha256, createHash('sha256').update(bytes).digest('hex'));
    await delivered('web:/tmp/f');
    daemon.target.files.clear();
  }
});

for (const method of ['GET', 'HEAD', 'DELETE', 'PATCH', 'OPTIONS']) {
  test(`${method} /upload is 405 with Allow`, async () => {
    const answer = await request(daemon.port, method, '/upload');
    assert.equal(answer.status, 405);
    assert.equal(answer.headers.allow, 'POST, PUT');
  });
}

test('POST /upload says 100 Continue only after every check that needs no body', async () => {
  const connection = await RawConnection.open(daemon.socketPath);
  connection.send(requestText('POST', '/upload', { ...TO, 'Content-Length': '5', Expect: '100-continue' }));
  assert.equal((await connection.answer(0)).status, 100);
  connection.send('hello');
  assert.equal((await connection.answer(1)).status, 202);
  connection.destroy();

  for (const headers of [{ 'X-File-Path': '/f' }, { ...TO, 'Content-Length': '99999999999' }]) {
    const refused = await RawConnection.open(daemon.socketPath);
    refused.send(
      requestText('POST', '/upload', { 'Content-Length': '5', ...headers, Expect: '100-continue' }),
    );
    assert.ok((await refused.answer(0)).status >= 400);
    refused.destroy();
  }
});

test('POST /upload takes absolute-form targets and a query', async () => {
  for (const target of ['http://localhost/upload', '/upload?x=1']) {
    const answer = await exchange(daemon.port, requestText('POST', target, TO, 'x'));
    assert.equal(answer.status, 202, target);
  }
});

test('POST /upload leaves the connection open after an accepted file', async () => {
  const connection = await RawConnection.open(daemon.port);
  for (let i = 0; i < 5; i += 1) {
    connection.send(requestText('POST', '/upload', TO, `body ${i}`));
    assert.equal((await connection.answer(i)).status, 202);
  }
  connection.destroy();
});

test('POST /upload takes pipelined requests in their order', async () => {
  const connection = await RawConnection.open(daemon.port);
  const paths = Array.from({ length: 20 }, (_, i) => `/tmp/pipelined-${i}`);
  connection.send(
    paths
      .map((path) =>
        requestText('POST', '/upload', { ...TO, 'X-File-Path': path, Accept: 'application/json' }, path),
      )
      .join(''),
  );
  for (const [i, path] of paths.entries()) {
    const answer = await connection.answer(i);
    assert.equal(answer.status, 202);
    assert.equal(JSON.parse(answer.body).path, path);
  }
  connection.destroy();
});

for (const size of [1000, 500_000]) {
  test(`POST /upload leaves nothing behind when the sender of ${size} bytes goes away in the middle`, async () => {
    const kept = daemon.payloadFiles().length;
    const aborted = daemon.context.stats.uploadsAborted;
    await eventually('all is delivered', () => daemon.context.spool.live.size === 0);
    const framings: Record<string, string>[] = [
      { 'Content-Length': '8000000' },
      { 'Transfer-Encoding': 'chunked' },
    ];
    for (const framing of framings) {
      const connection = await RawConnection.open(daemon.port);
      connection.send(requestText('POST', '/upload', { ...TO, ...framing }));
      if ('Transfer-Encoding' in framing) connection.send(`${size.toString(16)}\r\n`);
      connection.send(Buffer.alloc(size));
      await eventually('it is under way', () => daemon.context.stats.uploadsUnderWay === 1);
      connection.destroy();
      await eventually('it is given up', () => daemon.context.stats.uploadsUnderWay === 0);
    }
    await eventually('nothing is left', () => daemon.payloadFiles().length === kept);
    assert.equal(daemon.context.stats.uploadsAborted, aborted + 2);
    assert.equal(daemon.context.spool.live.size, 0);
    assert.equal(daemon.reservedBytes(), 0);
  });
}

for (const size of [10, 200_000]) {
  test(`an upload of ${size} bytes that was kept is delivered, whatever becomes of its answer`, async () => {
    const { context, target } = daemon;
    const { onAudit } = context;
    Object.assign(context, { onAudit: () => assert.fail('the log is gone') });
    const bytes = Buffer.alloc(size, 'k');
    const answer = await upload(daemon.socketPath, 'web', `/tmp/kept-${size}`, bytes);
    Object.assign(context, { onAudit });
    assert.equal(answer.status, 500);
    await eventually('it is delivered', () => target.files.has(`web:/tmp/kept-${size}`));
    assert.deepEqual(target.files.get(`web:/tmp/kept-${size}`), bytes);
  });
}
