import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { type BuiltClient, buildClient, type Ended } from '../support/built-client.ts';
import { type FakeDaemon, startFakeDaemon } from '../support/fake-daemon.ts';
import { type Files, makeFiles } from '../support/file-tree.ts';
import { skipUnless } from '../support/skip-unless.ts';

let client: BuiltClient;
let daemon: FakeDaemon;
let place: string;

before(async () => {
  client = await buildClient();
});
after(() => client.remove());
beforeEach(async () => {
  daemon = await startFakeDaemon(join(client.directory, 'socket'));
  place = mkdtempSync(join(client.directory, 'archives-'));
});
afterEach(() => daemon.close());

const push = (...args: string[]): Promise<Ended> =>
  client.run(['--url', daemon.url, 'push', ...args], { cwd: place });
const make = (files: Files): void => makeFiles(place, files);

test('push --extract sends archives of all kinds as a plain one', skipUnless('zstd'), async () => {
  make({ 'site/a': 'a', 'site/b/c': randomBytes(700_000), 'site/l': '-> a' });
  const options = { cwd: place };
  execFileSync('tar', ['-cf', 'a.tar', 'site'], options);
  execFileSync('tar', ['-czf', 'a.tgz', 'site'], options);
  execFileSync('zstd', ['-q', 'a.tar', '-o', 'a.tar.zst'], options);
  execFileSync('zstd', ['-q', '-19', '--no-check', 'a.tar', '-o', 'named-wrongly.gz'], options);
  execFileSync(
    'sh',
    ['-c', '(head -c 100000 a.tar | zstd; tail -c +100001 a.tar | zstd --no-check) > two-frames.zst'],
    {
      ...options,
      stdio: ['ignore', 'ignore', 'ignore'],
    },
  );
  writeFileSync(join(place, 'empty.tar'), Buffer.alloc(10240));
  const archives = ['a.tar', 'a.tgz', 'a.tar.zst', 'named-wrongly.gz', 'two-frames.zst'];
  for (const archive of archives) {
    for (const standardInput of [false, true]) {
      daemon.uploads.length = 0;
      const source = standardInput ? '-' : archive;
      const { status, stdout, stderr } = await client.run(
        ['--url', daemon.url, 'push', '--extract', source, 'web:/srv'],
        { cwd: place, stdin: standardInput ? readFileSync(join(place, archive)) : '' },
      );
      assert.equal(status, 0, stderr);
      assert.match(stdout, /queued web:\/srv\/ \(/);
      const [upload] = daemon.uploads;
      assert.deepEqual(upload?.archive, readFileSync(join(place, 'a.tar')), archive);
      assert.equal(upload?.request.path, '/srv/');
      assert.equal(upload?.headers['content-length'] !== undefined, source === 'a.tar');
    }
  }
  assert.equal((await push('--extract', 'empty.tar', 'web:/srv/')).status, 0);
});

test('push --extract refuses what is no archive, or not a whole one', skipUnless('zstd'), async () => {
  make({ 'site/a': randomBytes(400_000), text: 'hello'.repeat(1000), nothing: '' });
  const options = { cwd: place };
  execFileSync('tar', ['-czf', 'a.tgz', 'site'], options);
  execFileSync('tar', ['-I', 'zstd', '-cf', 'a.tar.zst', 'site'], options);
  execFileSync('gzip', ['-k', 'text'], options);
  const cut = (name: string): void =>
    writeFileSync(join(place, `cut-${name}`), readFileSync(join(place, name)).subarray(0, 300_000));
  cut('a.tgz');
  cut('a.tar.zst');
  const broken = readFileSync(join(place, 'a.tgz'));
  broken.fill(0x55, 200_000, 200_100);
  writeFileSync(join(place, 'broken.tgz'), broken);
  writeFileSync(join(place, 'a.tar.xz'), Buffer.from('fd377a585a000004', 'hex'));
  for (const [source, reason, exit] of [
    ['text', /text is no tar archive, neither plain nor compressed/, 66],
    ['nothing', /nothing is no tar archive/, 66],
    ['text.gz', /text\.gz is compressed by gzip, but holds no tar archive/, 66],
    ['cut-a.tgz', /cut-a\.tgz: its gzip data is damaged or cut off/, 66],
    ['cut-a.tar.zst', /cut-a\.tar\.zst: its zstd data is damaged or cut off/, 66],
    ['broken.tgz', /broken\.tgz: its gzip data is damaged/, 66],
    ['a.tar.xz', /compressed by xz, .*xz -dc FILE \| incus-upload push --extract -/, 66],
    ['site', /site is a directory; send it with --recursive/, 64],
    ['none.tar', /Cannot read none\.tar: there is no such file/, 66],
  ] as const) {
    const { status, stderr } = await push('--extract', source, 'web:/srv/');
    assert.match(stderr, reason);
    assert.equal(status, exit);
  }
  assert.equal(daemon.jobs.size, 0);
  assert.equal((await push('--extract', '--mode', '600', 'a.tgz', 'web:/srv/')).status, 64);
});
