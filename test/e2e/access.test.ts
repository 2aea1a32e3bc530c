/** What the daemon refuses to start with, how tokens are handed out, and what the log says of all that. */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { RawConnection } from '../http/raw-exchange.ts';
import { request, upload } from '../http/request.ts';
import { createPlace, type Daemon, eventually, type Place, runUploadd, spawnDaemon } from './daemon.ts';

let place: Place;
let daemon: Daemon;
before(async () => {
  place = createPlace();
  daemon = spawnDaemon(place, ['--listen', `unix:${place.socketPath}`, '--listen', 'http://127.0.0.1:0']);
  await eventually('it listens', () => daemon.isOver || daemon.stderr.split('"listening"').length > 2);
  assert.ok(!daemon.isOver, daemon.stderr);
  for (const { msg, address } of daemon.log()) {
    if (msg === 'listening') daemon.port ||= Number(/^http:.*:(\d+)$/.exec(String(address))?.[1] ?? 0);
  }
});
after(async () => {
  assert.equal(await daemon.stop(), 0);
  place.remove();
});

const tokenCommand = (...args: string[]) => runUploadd('token', ...args, '--state-dir', place.stateDir);
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

const REFUSED: [string, string[], RegExp][] = [
  [
    'no-auth on every address',
    ['--listen', 'http://0.0.0.0:0', '--no-auth'],
    /no-auth is refused unless .* loopback/,
  ],
  ['no-auth on IPv6', ['--listen', 'http://[::]:0', '--no-auth'], /no-auth is refused unless .* loopback/],
  ['tokens in the clear', ['--listen', 'http://0.0.0.0:0'], /in the clear; use https/],
  ['TLS without a certificate', ['--listen', 'https://127.0.0.1:0'], /needs tls-cert and tls-key/],
  ['a client CA without TLS', ['--tls-client-ca', '/dev/null'], /^incus-uploadd: --tls-client-ca: /],
];
for (const [what, args, reason] of REFUSED) {
  test(`a daemon is not started with ${what}`, () => {
    const state = join(place.directory, 'refused');
    const { status, stderr } = runUploadd(...args, '--state-dir', state, '--target', `dir:${place.target}`);
    assert.equal(status, 78);
    assert.match(stderr, reason);
    assert.equal(stderr.split('\n').length, 2);
    assert.throws(() => statSync(state), { code: 'ENOENT' });
  });
}

test('a daemon whose TCP nobody can use says so', () => {
  assert.ok(daemon.log().some(({ msg }) => /there is no token.*incus-uploadd token add/.test(msg)));
});

test('token add prints the token alone, and a running daemon knows it at once until it is revoked', async () => {
  const { status, stdout, stderr } = tokenCommand(
    'add',
    'ci',
    '--instance',
    'web',
    '--path',
    '/srv/',
    '--expires',
    '1d',
  );
  assert.equal(status, 0);
  assert.match(stdout, /^iut_[\w-]{43}\n$/);
  assert.match(stderr, /^Token ci allows .*instance web.*\/srv\/\*\*.*shown only now/);
  const token = stdout.trim();
  assert.equal((await upload(daemon.port, 'web', '/srv/f', 'x', bearer(token))).status, 202);
  assert.equal((await upload(daemon.port, 'web', '/f', 'x', bearer(token))).status, 403);

  const [listed] = JSON.parse(tokenCommand('list', '--json').stdout);
  assert.deepEqual(
    [listed.name, listed.instances, listed.paths, listed.read_only, listed.expired],
    ['ci', ['web'], ['/srv/**'], false, false],
  );
  const list = tokenCommand('list').stdout;
  assert.match(list, /^ci: .*until 2\d{3}-/);
  assert.ok(!`${list}${JSON.stringify(listed)}`.includes(token.slice(4)));

  assert.equal(tokenCommand('revoke', 'ci').status, 0);
  assert.equal((await upload(daemon.port, 'web', '/srv/f', 'x', bearer(token))).status, 401);
  assert.equal(tokenCommand('list').stdout, '');
});

test('token commands that are wrong say what was expected', () => {
  assert.equal(tokenCommand('add', 'twice').status, 0);
  const cases: [string[], number, RegExp][] = [
    [['add', 'twice'], 76, /There is a token twice; revoke it first/],
    [['revoke', 'nobody'], 76, /There is no token nobody/],
    [['revoke', '../journal'], 76, /There is no token/],
    [['add', 'a/b'], 64, /Not a name for a token/],
    [['add', 'x', '--path', 'srv'], 64, /--path: expected an absolute path/],
    [['add', 'x', '--path', '/srv/../etc/**'], 64, /--path: expected a path without/],
    [['add', 'x', '--instance', 'a/b'], 64, /--instance: expected a name/],
    [['add', 'x', '--project', 'a b'], 64, /--project: Not a project name/],
    [['add', 'x', '--expires', 'soon'], 64, /--expires: /],
    [['add', 'x', '--expires', '99999d'], 64, /--expires: .*36500d/],
    [['add', 'x', '--expires', '0s'], 64, /--expires: /],
    [['add', 'x', '--max-upload-size', 'lots'], 78, /--max-upload-size: expected a size/],
    [['add'], 64, /missing required argument/],
    [['frobnicate'], 64, /unexpected argument/],
    [[], 64, /expected add, list or revoke/],
  ];
  for (const [args, exit, message] of cases) {
    const { status, stdout, stderr } = tokenCommand(...args);
    assert.deepEqual([status, stdout], [exit, ''], args.join(' '));
    assert.match(stderr, message);
    assert.equal(stderr.split('\n').length, 2, stderr);
  }
  assert.equal(tokenCommand('revoke', 'twice').status, 0);
});

test('what root writes belongs to the owner of the state directory', {
  skip: process.getuid?.() !== 0 && 'needs root',
}, () => {
  const state = join(place.directory, 'owned');
  mkdirSync(state, { mode: 0o700 });
  chownSync(state, 65534, 65534);
  // That user has to get there.
  chmodSync(place.directory, 0o711);
  const { status, stderr } = runUploadd('token', 'add', 't', '--state-dir', state);
  assert.equal(status, 0, stderr);
  const { uid, gid, mode } = statSync(join(state, 'tokens', 't.json'));
  assert.deepEqual([uid, gid, mode & 0o777], [65534, 65534, 0o600]);
});

test('no token and no content is in the log, wherever a client puts it', async () => {
  const token = tokenCommand('add', 'loose', '--instance', 'web').stdout.trim();
  const content = 'the content that nobody may read';
  const cut = token.slice(0, -3);
  await upload(daemon.port, 'web', '/f', content, bearer(token));
  await upload(daemon.port, 'other', '/f', content, bearer(token));
  await upload(daemon.port, 'web', '/f', content, bearer(cut));
  await upload(daemon.port, 'web', '/f', content, { Authorization: token });
  await request(daemon.port, 'GET', `/v1/jobs?access_token=${token}`);
  await request(daemon.port, 'GET', `/${token}`, { headers: bearer(token) });
  await request(place.socketPath, 'GET', `/v1/jobs/${token}`);
  await upload(place.socketPath, token, `/${token}/..`, content);
  await upload(place.socketPath, 'web', '/f', content, { 'X-File-Mode': token, 'Idempotency-Key': token });
  await upload(place.socketPath, 'web', '/f', content, { 'Repr-Digest': token });
  const connection = await RawConnection.open(daemon.port);
  connection.send(`Authorization: Bearer ${token}\r\n\r\n${content}`);
  await connection.untilClosed();
  await eventually('all is logged', () => daemon.log().filter(({ msg }) => msg === 'refused').length >= 8);
  assert.ok(!daemon.stderr.includes(cut.slice(0, 20)), daemon.stderr);
  assert.ok(!daemon.stderr.includes(content.slice(0, 12)));
  assert.ok(!readFileSync(join(place.stateDir, 'tokens', 'loose.json'), 'utf8').includes(cut.slice(4, 20)));
  tokenCommand('revoke', 'loose');
});

test('each job has an audit record when it is accepted and when it ends', async () => {
  const token = tokenCommand('add', 'audited').stdout.trim();
  const good = await upload(daemon.port, 'web', '/audit/f', '12345', bearer(token));
  const lost = await upload(place.socketPath, 'nowhere', '/f', 'x');
  const records = (id: unknown) => daemon.log().filter(({ msg, job }) => msg === 'audit' && job === id);
  for (const { headers } of [good, lost])
    await eventually('it has ended', () => records(headers['x-job-id']).length === 2);
  const [accepted, delivered] = records(good.headers['x-job-id']);
  const what = {
    instance: 'web',
    project: 'default',
    path: '/audit/f',
    size: 5,
    submitted_by: 'token:audited',
  };
  for (const [record, outcome] of [
    [accepted, 'accepted'],
    [delivered, 'delivered'],
  ] as const) {
    for (const [name, value] of Object.entries({ ...what, outcome }))
      assert.equal(record?.[name], value, name);
    assert.ok(!Number.isNaN(Date.parse(String(record?.time))));
  }
  assert.deepEqual([accepted?.peer, accepted?.by], ['127.0.0.1', 'token:audited']);
  const [, failed] = records(lost.headers['x-job-id']);
  assert.deepEqual(
    [failed?.outcome, failed?.code, failed?.submitted_by],
    ['failed', 'instance_not_found', null],
  );

  // Whoever has it tried again is told of, too.
  await request(daemon.port, 'POST', `/v1/jobs/${lost.headers['x-job-id']}/retry`, {
    headers: bearer(token),
  });
  await eventually('it ended again', () => records(lost.headers['x-job-id']).length === 4);
  assert.ok(
    records(lost.headers['x-job-id']).some(
      ({ outcome, by }) => outcome === 'retry' && by === 'token:audited',
    ),
  );
  tokenCommand('revoke', 'audited');
});

test('a log line cannot be forged by what a client sends', async () => {
  const forged = encodeURIComponent('f\n{"level":"info","msg":"audit","outcome":"delivered"}\u2028\u001b[2J');
  const lines = daemon.stderr.split('\n').length;
  const headers = { 'X-Container-Name': 'nowhere', 'X-File-Path*': `UTF-8''/${forged}` };
  await request(place.socketPath, 'POST', '/upload', { headers, body: 'x' });
  await request(place.socketPath, 'GET', `/${forged}`);
  await eventually('both are logged', () => daemon.stderr.split('\n').length >= lines + 3);
  // Parses every line, and finds nothing steering a terminal in any.
  assert.ok(daemon.log().every(({ outcome, job }) => outcome !== 'delivered' || job !== undefined));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
  assert.doesNotMatch(daemon.stderr.replaceAll('\n', ''), /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
});

test('SIGHUP has the tokens read again, and says nothing was lost', async () => {
  writeFileSync(join(place.stateDir, 'tokens', 'broken.json'), '{');
  const broken = (): number =>
    daemon.log().filter(({ problem }) => /broken\.json/.test(String(problem))).length;
  await request(daemon.port, 'GET', '/v1/jobs', { headers: bearer('x') });
  await eventually('it is told', () => broken() > 0);
  rmSync(join(place.stateDir, 'tokens', 'broken.json'));
  daemon.signal('SIGHUP');
  await eventually('it was read again', () =>
    daemon.log().some(({ msg }) => msg === 'configuration read again'),
  );
});

afterEach(() => assert.ok(!daemon.isOver, daemon.stderr));
