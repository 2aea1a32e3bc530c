/** HTTPS as clients meet it: real certificates, a real daemon, and what SIGHUP changes. */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { makeSelfSigned, makeSigned, type Pair } from '../support/certificates.ts';
import { skipUnless } from '../support/skip-unless.ts';
import { createPlace, type Daemon, eventually, type Place, runUploadd, spawnDaemon } from './daemon.ts';

const openssl = skipUnless('openssl');
const hasOpenssl = openssl.skip === undefined;

let place: Place;
let daemon: Daemon;
let port = 0;
let server: Pair;
let authority: Pair;
let client: Pair;
let ca: string;
before(async () => {
  if (!hasOpenssl) return;
  place = createPlace();
  const made = join(place.directory, 'made');
  authority = makeSelfSigned(made, 'authority');
  client = makeSigned(made, 'alice', authority);
  server = { cert: join(place.directory, 'server.crt'), key: join(place.directory, 'server.key') };
  ca = join(place.directory, 'ca.crt');
  install(makeSelfSigned(made, 'first'));
  copyFileSync(authority.cert, ca);
  daemon = spawnDaemon(place, [
    ...['--listen', 'https://127.0.0.1:0', '--tls-cert', server.cert, '--tls-key', server.key],
    ...['--tls-client-ca', ca],
  ]);
  await eventually('the daemon listens', () => {
    if (daemon.isOver) throw new Error(daemon.stderr);
    return daemon.stderr.includes('"listening"');
  });
  const listening = daemon.log().find(({ msg }) => msg === 'listening');
  port = Number(/:(\d+)$/.exec(String(listening?.address))?.[1]);
});
after(async () => {
  if (!hasOpenssl) return;
  assert.equal(await daemon.stop(), 0);
  place.remove();
});

function install(pair: Pair): void {
  copyFileSync(pair.cert, server.cert);
  copyFileSync(pair.key, server.key);
}

type Shown = { readonly pair?: Pair; readonly token?: string };
type Answer = { readonly status: number; readonly text: string };

function ask(method: string, path: string, shown: Shown = {}, more: RequestOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { pair, token } = shown;
    const sent = httpsRequest({
      ...{ host: '127.0.0.1', port, method, path, agent: false, ca: readFileSync(server.cert) },
      ...(pair === undefined ? {} : { cert: readFileSync(pair.cert), key: readFileSync(pair.key) }),
      ...more,
      headers: { ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }), ...more.headers },
    });
    sent.on('error', reject);
    sent.on('response', (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (part: string) => {
        text += part;
      });
      res.on('end', () => resolve({ status: res.statusCode ?? 0, text }));
    });
    sent.end(method === 'POST' ? 'content' : undefined);
  });
}

async function send(path: string, shown: Shown): Promise<Record<string, unknown>> {
  const headers = { 'X-Container-Name': 'web', 'X-File-Path': path, Accept: 'application/json' };
  const { status, text } = await ask('POST', '/upload', shown, { headers });
  assert.equal(status, 202, text);
  return JSON.parse(text);
}

/** SIGHUP, and the record that says what came of it. */
async function reload(): Promise<string> {
  const before = daemon.log().length;
  daemon.signal('SIGHUP');
  const answered = (): string | undefined =>
    daemon
      .log()
      .slice(before)
      .map(({ msg, error }) => `${msg}: ${error}`)
      .find((line) => line.includes('configuration'));
  await eventually('it was read again', () => answered() !== undefined);
  return answered() ?? '';
}

function handshake(options: object): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options }, () =>
      resolve(socket),
    );
    socket.once('error', reject);
  });
}

/** The answer to a request on a connection made with these options. */
async function statusOf(options: object): Promise<{ status: number; reused: boolean }> {
  const socket = await handshake(options);
  const reused = socket.isSessionReused();
  socket.setEncoding('latin1');
  socket.write('GET /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  let text = '';
  for await (const part of socket) text += part;
  return { status: Number(text.slice(9, 12)), reused };
}

test('a certificate that the client CA signed lets in, and jobs carry its name', openssl, async () => {
  assert.equal((await send('/cert', { pair: client })).submitted_by, 'cert:alice');
  assert.equal((await ask('GET', '/metrics', { pair: client })).status, 200);
});

test('a token lets in without a certificate, and goes before one', openssl, async () => {
  const token = runUploadd(
    'token',
    'add',
    'ci',
    '--instance',
    'web',
    '--state-dir',
    place.stateDir,
  ).stdout.trim();
  assert.equal((await send('/token', { token })).submitted_by, 'token:ci');
  assert.equal((await send('/both', { token, pair: client })).submitted_by, 'token:ci');
  assert.equal((await ask('GET', '/v1/jobs', { token: `${token}x`, pair: client })).status, 401);
});

test('neither is 401; so are a certificate of somebody else and one that has expired', openssl, async () => {
  const made = join(place.directory, 'made');
  const strangers = makeSigned(made, 'mallory', makeSelfSigned(made, 'strangers'));
  assert.equal((await ask('GET', '/v1/jobs')).status, 401);
  assert.equal((await ask('GET', '/healthz')).status, 200);
  const expired = makeSigned(made, 'late', authority, -1);
  for (const pair of [strangers, expired, makeSelfSigned(made, 'alice-herself')]) {
    const answer = await ask('GET', '/v1/jobs', { pair });
    assert.equal(answer.status, 401);
    assert.match(JSON.parse(answer.text).detail, /certificate is not accepted/);
  }
});

test('TLS before 1.2 is refused', openssl, async () => {
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' };
  await assert.rejects(handshake(old));
  const socket = await handshake({ maxVersion: 'TLSv1.2' });
  assert.equal(socket.getProtocol(), 'TLSv1.2');
  socket.destroy();
});

test('plain HTTP on the port is closed, and hurts nobody', openssl, async () => {
  const { RawConnection } = await import('../http/raw-exchange.ts');
  const connection = await RawConnection.open(port);
  connection.send('GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n');
  await connection.untilClosed();
  assert.equal(connection.answers.filter(({ status }) => status < 400).length, 0);
  assert.equal((await ask('GET', '/healthz')).status, 200);
});

test(
  'SIGHUP takes in a new certificate; one that cannot be used keeps the old one and is said',
  openssl,
  async () => {
    const made = join(place.directory, 'made');
    install(makeSelfSigned(made, 'second'));
    assert.match(await reload(), /^configuration read again/);
    const socket = await handshake({});
    assert.equal(socket.getPeerCertificate().subject.CN, 'second');
    socket.destroy();

    const bad: [string, () => void][] = [
      ['no PEM', () => writeFileSync(server.cert, 'nonsense')],
      ['the key of another', () => copyFileSync(makeSelfSigned(made, 'third').key, server.key)],
    ];
    for (const [, spoil] of bad) {
      install({ cert: join(made, 'second.crt'), key: join(made, 'second.key') });
      spoil();
      assert.match(await reload(), /going on with the old one: .*cannot use the TLS files/);
      const still = await handshake({});
      assert.equal(still.getPeerCertificate().subject.CN, 'second');
      still.destroy();
    }
    install({ cert: join(made, 'second.crt'), key: join(made, 'second.key') });
    assert.equal((await ask('GET', '/v1/jobs', { pair: client })).status, 200);
  },
);

test('SIGHUP takes in another client CA, also for clients that resume a session', openssl, async () => {
  const made = join(place.directory, 'made');
  const newcomer = makeSigned(made, 'bob', makeSelfSigned(made, 'authority-2'));
  const shown = { cert: readFileSync(client.cert), key: readFileSync(client.key) };
  const first = await handshake(shown);
  const session = await new Promise<Buffer>((resolve) => first.once('session', resolve));
  first.destroy();
  assert.deepEqual(await statusOf({ ...shown, session }), { status: 200, reused: true });

  writeFileSync(ca, 'no certificate');
  assert.match(await reload(), /going on with the old one: .*holds no certificate/);
  assert.equal((await ask('GET', '/v1/jobs', { pair: client })).status, 200);

  copyFileSync(join(made, 'authority-2.crt'), ca);
  assert.match(await reload(), /^configuration read again/);
  assert.equal((await ask('GET', '/v1/jobs', { pair: newcomer })).status, 200);
  assert.equal((await ask('GET', '/v1/jobs', { pair: client })).status, 401);
  assert.deepEqual(await statusOf({ ...shown, session }), { status: 401, reused: false });
});
