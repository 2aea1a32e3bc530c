import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, lstatSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { type BuiltClient, buildClient, type Ended } from '../support/built-client.ts';
import { type FakeDaemon, startFakeDaemon } from '../support/fake-daemon.ts';
import { type Files, listFiles, makeFiles } from '../support/file-tree.ts';

let client: BuiltClient;
let daemon: FakeDaemon;
/** Where each test has its tree `site`. */
let place: string;

before(async () => {
  client = await buildClient();
});
after(() => client.remove());
beforeEach(async () => {
  daemon = await startFakeDaemon(join(client.directory, 'socket'));
  place = mkdtempSync(join(client.directory, 'tree-'));
});
afterEach(() => daemon.close());

const push = (...args: string[]): Promise<Ended> =>
  client.run(['--url', daemon.url, 'push', ...args], { cwd: place });

const make = (files: Files): void => makeFiles(place, files);

/** What the system's tar makes of an upload. */
function unpacked(index = 0): Record<string, string> {
  const directory = mkdtempSync(join(client.directory, 'unpacked-'));
  execFileSync('tar', ['-xpf', '-', '-C', directory], { input: daemon.uploads[index]?.archive });
  return listFiles(directory);
}

function names(index = 0): string[] {
  return Object.keys(unpacked(index));
}

test('push -r sends a tree as one archive: modes, links, empty directories, long and foreign names', async () => {
  const long = `${'long-'.repeat(30)}name`;
  make({
    'site/index.html': '<h1>hello</h1>',
    'site/empty': '',
    'site/void/': '',
    'site/bin/run': '#!/bin/sh\n',
    'site/current': '-> bin/run',
    'site/broken': `-> ${'nowhere/'.repeat(20)}`,
    [`site/${long}/${long}/ü-日本語 with blanks\n`]: 'deep',
    [`site/${'d'.repeat(90)}/${'e'.repeat(60)}`]: 'ustar prefix',
    'site/large.bin': randomBytes(1_500_007),
    'site/block.bin': randomBytes(512 * 1024),
  });
  for (let i = 0; i < 300; i += 1) make({ [`site/many/${i}`]: randomBytes(i * 17) });
  chmodSync(join(place, 'site/bin/run'), 0o4755);
  chmodSync(join(place, 'site/void'), 0o1777);
  chmodSync(join(place, 'site'), 0o750);

  const { status, stdout, stderr } = await push('-r', 'site', 'web:/srv/');
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^\w{11} queued web:\/srv\/ \(309 files, [\d.]+ MiB, next in line\)\n$/);
  assert.match(stderr, /^site: sending 309 files, [\d.]+ MiB to web:\/srv\/\nsite: queued as/);
  assert.deepEqual(unpacked(), listFiles(place));
  const [upload] = daemon.uploads;
  assert.equal(daemon.uploads.length, 1);
  assert.equal(Number(upload?.headers['content-length']), upload?.sizeBytes);
  assert.deepEqual([upload?.request.path, upload?.request.sourceName], ['/srv/', 'site']);
});

test('push -r names what it sends as incus file push -r and cp -r do', async () => {
  make({ 'site/a': 'a', 'other/b': 'b', file: 'f' });
  for (const [sources, expected] of [
    [['site'], ['site', 'site/a']],
    [['site/'], ['site', 'site/a']],
    [[join(place, 'site')], ['site', 'site/a']],
    [['site/.'], ['a']],
    [
      ['site', 'file', 'other/'],
      ['file', 'other', 'other/b', 'site', 'site/a'],
    ],
    [
      ['site/.', 'other/.'],
      ['a', 'b'],
    ],
  ] as const) {
    daemon.uploads.length = 0;
    const { status, stderr } = await push('-q', '-r', ...sources, 'web:/srv/');
    assert.equal(status, 0, stderr);
    assert.deepEqual(names(), expected);
  }
  const { stdout, status } = await push('-r', 'site', 'web:/srv');
  assert.equal(status, 0);
  assert.match(stdout, /queued web:\/srv\/ \(1 file, /);
  assert.equal(daemon.uploads.at(-1)?.request.path, '/srv/');
  // Without a directory it is the push that it would be without -r.
  await push('-r', 'file', 'web:/srv/x');
  assert.equal(daemon.uploads.at(-1)?.archive, undefined);
  assert.equal(daemon.uploads.at(-1)?.request.path, '/srv/x');
});

test('push -r leaves out what the patterns say, the last that matches counting', async () => {
  make({
    'site/.git/config': '',
    'site/a.log': '',
    'site/keep.log': '',
    'site/logs/b.log': '',
    'site/logs/c': '',
    'site/Build/x': '',
    'site/build/x': '',
    'site/sub/build/y': '',
    'site/!odd': '',
    'site/#odd': '',
    'ignored/.ignore': '# comment\nlogs/\n!keep.log\n',
    'site/dangling': '-> nowhere',
  });
  const sent = async (...options: string[]): Promise<string[]> => {
    daemon.uploads.length = 0;
    const { status, stderr } = await push('-q', '-r', ...options, 'site/.', 'web:/srv/');
    assert.equal(status, 0, stderr);
    return names().filter((name) => lstatSync(join(place, 'site', name)).isFile());
  };
  const all = await sent();
  const without = (...left: string[]): string[] => all.filter((name) => !left.includes(name));
  assert.deepEqual(await sent('--exclude', '.git'), without('.git/config'));
  assert.deepEqual(await sent('--exclude', '*.log'), without('a.log', 'keep.log', 'logs/b.log'));
  assert.deepEqual(await sent('--exclude', '*.log', '--include', 'keep.log'), without('a.log', 'logs/b.log'));
  assert.deepEqual(
    await sent('--include', 'keep.log', '--exclude', '*.log'),
    without('a.log', 'keep.log', 'logs/b.log'),
  );
  assert.deepEqual(await sent('--exclude', '/build/'), without('build/x'));
  assert.deepEqual(await sent('--exclude', '**/build'), without('build/x', 'sub/build/y'));
  assert.deepEqual(await sent('--exclude', '!odd', '--exclude', '#odd'), without('!odd', '#odd'));
  assert.deepEqual(
    await sent('--exclude', '*.log', '--exclude-from', 'ignored/.ignore'),
    without('a.log', 'logs/b.log', 'logs/c'),
  );
  assert.deepEqual(await sent('--exclude', '*', '--include', '*/', '--include', '*.log'), [
    'a.log',
    'keep.log',
    'logs/b.log',
  ]);
  assert.deepEqual(await sent('-L', '--exclude', 'dangling'), all);
});

test('push -r sends links as links, and with -L what they lead to, without going round', async () => {
  make({
    'site/file': 'x',
    'site/link': '-> file',
    'site/round': '-> .',
    'elsewhere/y': 'y',
    'site/out': '-> ../elsewhere',
    entry: '-> site',
  });
  await push('-q', '-r', 'site', 'web:/srv/');
  assert.equal(unpacked()['site/out'], '-> ../elsewhere');
  const followed = await push('-r', '-L', 'site', 'web:/srv/');
  assert.equal(followed.status, 0);
  assert.deepEqual(names(1), ['site', 'site/file', 'site/link', 'site/out', 'site/out/y']);
  assert.match(
    followed.stderr,
    /^incus-upload: site\/round: skipped, as it leads back to a directory above it$/m,
  );
  await push('-q', '-r', 'entry', 'web:/srv/');
  assert.deepEqual(unpacked(2), { entry: '-> site' });
  await push('-q', '-r', 'entry/', 'web:/srv/');
  assert.ok(names(3).includes('entry/file'));
  make({ 'site/dangling': '-> nowhere' });
  const { status, stderr } = await push('-r', '-L', 'site', 'web:/srv/');
  assert.equal(status, 66);
  assert.match(
    stderr,
    /^incus-upload: Cannot read site\/dangling: it is a link that leads nowhere; remove it/,
  );
});

test('push -r skips what is neither file, directory nor link, and says so', async () => {
  make({ 'site/file': 'x' });
  execFileSync('mkfifo', [join(place, 'site/pipe')]);
  const { status, stderr } = await push('-r', 'site', 'web:/srv/');
  assert.equal(status, 0);
  assert.match(stderr, /^incus-upload: site\/pipe: skipped, as it is a pipe$/m);
  assert.deepEqual(names(), ['site', 'site/file']);
  assert.equal((await push('-qr', 'site', 'web:/srv/')).stderr, '');
  const named = await push('-r', 'site', 'site/pipe', 'web:/srv/');
  assert.equal(named.status, 66);
  assert.match(named.stderr, /site\/pipe is a pipe; pipe it in/);
  assert.equal(daemon.uploads.length, 2);
});

test('push -r sends nothing of a tree that cannot be sent whole', async () => {
  make({ 'site/file': 'x' });
  const refused = async (reason: RegExp, exit: number, ...args: string[]): Promise<void> => {
    const { status, stderr, stdout } = await push(...args);
    assert.deepEqual({ status, stdout }, { status: exit, stdout: '' }, stderr);
    assert.match(stderr, reason);
    assert.equal(stderr.split('\n').length, 2, stderr);
  };
  await refused(
    /^incus-upload: Cannot read none: there is no such file; check its name$/m,
    66,
    '-r',
    'site',
    'none',
    'web:/d/',
  );
  await refused(/site is a directory; send it .* by --recursive/, 64, 'site', 'web:/d/');
  await refused(/--mode is for files/, 64, '-r', '--mode', '600', 'site', 'web:/d/');
  await refused(/needs --recursive/, 64, '--exclude', 'x', 'site/file', 'web:/d/');
  await refused(/needs --recursive/, 64, '-L', 'site/file', 'web:/d/');
  await refused(/give one of them/, 64, '-r', '--extract', 'site', 'web:/d/');
  await refused(/Standard input has no name/, 64, '-r', 'site', '-', 'web:/d/');
  await refused(/Several sources need a directory/, 64, '-r', 'site', 'site/file', 'web:/d');
  await refused(/Cannot read \/none/, 66, '-r', '--exclude-from', '/none', 'site', 'web:/d/');
  make({ 'other/file': 'y' });
  await refused(/Two files would become file,/, 66, '-r', 'site/.', 'other/.', 'web:/d/');
  const odd = Buffer.concat([Buffer.from(join(place, 'site/caf')), Buffer.from([0xe9])]);
  writeFileSync(odd, '');
  await refused(/Cannot send site\/caf\\xe9: the name is not UTF-8; rename it/, 66, '-r', 'site', 'web:/d/');
  assert.equal((await push('-qr', '--exclude', 'caf*', 'site', 'web:/d/')).status, 0);
  assert.equal(daemon.uploads.length, 1);
  const json = await push('--json', '-r', 'site', 'web:/d/');
  assert.equal(JSON.parse(json.stderr).error.source, 'site');
});

test('push -r names a file that may not be read', { skip: process.geteuid?.() !== 0 && 'needs root' }, () => {
  make({ 'site/a': 'x', 'site/secret': 'x' });
  chmodSync(join(place, 'site/secret'), 0o600);
  for (let path = place; path.length > 4; path = join(path, '..')) {
    if (path.startsWith(client.directory)) chmodSync(path, 0o755);
  }
  const args = [client.program, 'push', '-r', 'site', 'web:/d/', '--url', daemon.url];
  const { status, stderr } = spawnSync(process.execPath, args, {
    cwd: place,
    uid: 65534,
    gid: 65534,
    encoding: 'utf8',
  });
  assert.equal(
    stderr,
    'incus-upload: Cannot read site/secret: permission denied; ask its owner, or read it as another user\n',
  );
  assert.equal(status, 66);
});

test('push -r refuses a file that changes meanwhile, and sends the same again after a broken connection', async () => {
  for (let i = 0; i < 40; i += 1) make({ [`site/${i}`]: Buffer.alloc(200_000, i) });
  daemon.pieceDelayMs = 20;
  for (const change of [Buffer.alloc(200_000, 7), 'short', Buffer.alloc(300_000)]) {
    const running = push('-r', 'site', 'web:/d/');
    while (!daemon.requests.includes('POST /upload')) await new Promise((resolve) => setTimeout(resolve, 5));
    make({ 'site/9': change });
    const { status, stderr } = await running;
    assert.equal(status, 66, stderr);
    assert.match(stderr, /site\/9 changed while it was read, so it was not accepted/);
    daemon.requests.length = 0;
    make({ 'site/9': Buffer.alloc(200_000, 9) });
  }
  assert.equal(daemon.jobs.size, 0);
  daemon.pieceDelayMs = 0;
  daemon.refusals.push(
    { code: 'draining', afterBytes: 700_000 },
    { code: 'internal', cut: true, afterBytes: 900_000 },
  );
  const { status, stderr } = await push('--checksum', '-r', 'site', 'web:/d/');
  assert.equal(status, 0, stderr);
  assert.deepEqual(unpacked(), listFiles(place));
  assert.equal(daemon.uploads[0]?.request.sha256, daemon.uploads[0]?.sha256);
});

test('push -r cancels what a daemon accepted that does not unpack archives', async () => {
  make({ 'site/a': 'a' });
  daemon.extracts = false;
  const { status, stdout, stderr } = await push('-r', 'site', 'web:/srv/');
  const [job] = daemon.jobs.values();
  assert.deepEqual({ status, stdout, state: job?.state }, { status: 76, stdout: '', state: 'cancelled' });
  assert.match(stderr, new RegExp(`does not unpack archives.*; ${job?.id} was cancelled`));
});

test('push -r --wait, show and jobs tell how many files are delivered', async () => {
  make({ 'site/a': 'a', 'site/b': 'b' });
  daemon.onAccepted = () => ({ state: 'delivering', attempts: 1, filesTotal: 1234, filesDone: 1000 });
  const accepted = await push('-q', '-r', 'site', 'web:/srv/');
  const id = accepted.stdout.trim();
  const run = async (...args: string[]): Promise<string> =>
    (await client.run([...args, '--url', daemon.url])).stdout;
  assert.match(await run('show', id), /^Destination: +web:\/srv\/$[\s\S]*^Files: +1,000 of 1,234 unpacked$/m);
  assert.match(await run('jobs'), /delivering +web +\/srv\/ .* 1,000 of 1,234 files$/m);
  daemon.update(id, { state: 'delivered', filesDone: 1234 });
  assert.match(await run('wait', id), /^\w{11} delivered web:\/srv\/ \(1,234 files, /);
  daemon.onAccepted = () => ({ state: 'delivered', attempts: 1, filesTotal: 2, filesDone: 2 });
  const waited = await push('-r', '--wait', 'site', 'web:/srv');
  assert.match(waited.stderr, /^site: delivered 2 files to web:\/srv\/ \(sent in /m);
});
