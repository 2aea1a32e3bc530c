import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { type BuiltClient, buildClient } from '../support/built-client.ts';
import { type FakeDaemon, startFakeDaemon } from '../support/fake-daemon.ts';

let client: BuiltClient;
let daemon: FakeDaemon;
let file: string;

before(async () => {
  client = await buildClient();
  file = join(client.directory, 'a file.bin');
  writeFileSync(file, 'hello', { mode: 0o640 });
});
after(() => client.remove());
beforeEach(async () => {
  daemon = await startFakeDaemon(join(client.directory, 'socket'));
});
afterEach(() => daemon.close());

const push = (...args: string[]) => client.run(['--url', daemon.url, 'push', ...args]);

test('push sends the file with its name and mode, and prints one line', async () => {
  const { status, stdout, stderr } = await push(file, 'web:/tmp/');
  const [id] = daemon.jobs.keys();
  assert.equal(stdout, `${id} queued web:/tmp/a file.bin (5 B, next in line)\n`);
  assert.equal(status, 0, stderr);
  const [upload] = daemon.uploads;
  assert.equal(upload?.sizeBytes, 5);
  assert.equal(upload?.headers['content-length'], '5');
  assert.equal(upload?.request.mode, 0o640);
  assert.equal(upload?.request.path, '/tmp/');
  assert.equal(upload?.request.sourceName, 'a file.bin');
  assert.match(upload?.request.idempotencyKey ?? '', /^[\w-]{20,}$/);
});

test('push -q prints the id alone, and nothing on standard error', async () => {
  const { status, stdout, stderr } = await push('-q', file, 'web/tmp/x');
  assert.deepEqual(
    { status, stdout, stderr },
    { status: 0, stdout: `${[...daemon.jobs.keys()][0]}\n`, stderr: '' },
  );
});

test('push --json prints the job, once, also with --wait, then as it ended', async () => {
  const accepted = await push('--json', file, 'web:/tmp/x');
  assert.equal(JSON.parse(accepted.stdout).state, 'queued');
  daemon.onAccepted = () => ({ state: 'delivered', attempts: 1 });
  const waited = await push('--json', '--wait', file, 'web:/tmp/x');
  assert.equal(waited.stdout.trimEnd().split('\n').length, 1);
  assert.equal(JSON.parse(waited.stdout).state, 'delivered');
  assert.equal(waited.stderr, '');
});

test('push takes options anywhere and in bundles', async () => {
  daemon.onAccepted = () => ({ state: 'delivered' });
  const { status, stdout } = await push(
    file,
    'web:/x',
    '-wq',
    '--project',
    'p',
    '--mode=4755',
    '--uid',
    '7',
    '--gid=8',
    '--no-create-dirs',
  );
  assert.equal(status, 0);
  assert.match(stdout, /^\w{11}\n$/);
  const request = daemon.uploads[0]?.request;
  assert.deepEqual(
    [request?.project, request?.mode, request?.uid, request?.gid, request?.createDirs],
    ['p', 0o4755, 7, 8, false],
  );
});

test('push - sends standard input chunked', async () => {
  const { status } = await client.run(['push', '-', 'web:/x', '--url', daemon.url], {
    stdin: Buffer.alloc(300_000, 7),
  });
  assert.equal(status, 0);
  assert.equal(daemon.uploads[0]?.sizeBytes, 300_000);
  assert.equal(daemon.uploads[0]?.headers['content-length'], undefined);
});

test('push sends large and empty files whole', async () => {
  const bytes = Buffer.alloc(3 * 1024 * 1024 + 17);
  for (let i = 0; i < bytes.length; i += 4096) bytes.writeUInt32LE(i, i);
  writeFileSync(join(client.directory, 'large'), bytes);
  writeFileSync(join(client.directory, 'empty'), '');
  const { status, stderr } = await push(
    '--checksum',
    '-j1',
    join(client.directory, 'large'),
    join(client.directory, 'empty'),
    'web:/d/',
  );
  assert.equal(status, 0, stderr);
  assert.equal(daemon.uploads[0]?.sha256, createHash('sha256').update(bytes).digest('hex'));
  assert.equal(daemon.uploads[0]?.request.sha256, daemon.uploads[0]?.sha256);
  assert.equal(daemon.uploads[1]?.sizeBytes, 0);
});

test('push --wait prints a line a change of state, without control characters', async () => {
  daemon.onAccepted = (job) => {
    setTimeout(() => daemon.update(job.id, { state: 'delivering', attempts: 1 }), 50);
    setTimeout(() => daemon.update(job.id, { state: 'delivered' }), 1500);
    return undefined;
  };
  const { status, stdout, stderr } = await push('--wait', file, 'web:/tmp/x');
  assert.equal(status, 0);
  assert.equal(stdout.split('\n').length, 2);
  const lines = stderr.trimEnd().split('\n');
  assert.match(lines[0] ?? '', /a file\.bin: sending 5 B to web:\/tmp\/x$/);
  assert.match(lines[1] ?? '', /: queued as \w{11}, next in line$/);
  assert.match(lines[2] ?? '', /: delivering, attempt 1 of 10$/);
  assert.match(lines[3] ?? '', /: delivered to web:\/tmp\/x \(sent in .*s, delivered .*s later\)$/);
  assert.equal(lines.length, 4);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is what is tested
  assert.doesNotMatch(stderr + stdout, /[\u0000-\u0009\u000b-\u001f]/);
});

test('push shows its token, from the file or the environment', async () => {
  daemon.token = 's3cret';
  const tokenFile = join(client.directory, 'token');
  writeFileSync(tokenFile, 's3cret\n');
  assert.equal((await push('-q', file, 'web:/x')).status, 77);
  assert.equal((await push('-q', '--token-file', tokenFile, file, 'web:/x')).status, 0);
  for (const env of [{ INCUS_UPLOAD_TOKEN: 's3cret' }, { INCUS_UPLOAD_TOKEN_FILE: tokenFile }]) {
    const { status } = await client.run(['push', '-q', file, 'web:/x'], {
      env: { ...env, INCUS_UPLOAD_URL: daemon.url },
    });
    assert.equal(status, 0);
  }
  assert.equal((await push('-q', '--token-file', '/none', file, 'web:/x')).status, 78);
});

test('push survives a reader of its output that leaves', async () => {
  const other = join(client.directory, 'another');
  writeFileSync(other, 'other');
  const { status } = await client.run(['push', file, other, 'web:/d/', '--url', daemon.url], {
    meanwhile: (child) => child.stdout?.destroy(),
  });
  assert.equal(status, 0);
  assert.equal(daemon.uploads.length, 2);
});
