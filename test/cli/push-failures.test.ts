import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
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
  mkdirSync(join(client.directory, 'dir'));
});
after(() => client.remove());
beforeEach(async () => {
  daemon = await startFakeDaemon(join(client.directory, 'socket'));
});
afterEach(() => daemon.close());

const push = (...args: string[]) => client.run(['--url', daemon.url, 'push', ...args]);

test('push --wait exits 1 for a job that failed, and says why', async () => {
  daemon.onAccepted = () => ({
    state: 'failed',
    error: { code: 'instance_not_found', message: 'There is no instance web.', retryable: false },
  });
  const { status, stderr } = await push('--wait', '-q', file, 'web:/x');
  assert.equal(status, 1);
  assert.equal(
    stderr,
    `incus-upload: ${file}: There is no instance web in project default; check its name and project\n`,
  );
});

test('push --wait --timeout exits 124', async () => {
  const { status, stderr } = await push('-q', '--wait', '--timeout', '300ms', file, 'web:/x');
  assert.equal(status, 124);
  assert.match(
    stderr,
    /^incus-upload: .*\w{11} is not finished yet; it goes on, see: incus-upload show \w{11}\n$/,
  );
});

test('push tries again under the same key when the daemon says so', async () => {
  daemon.refusals.push(
    { code: 'queue_full', retryAfter: '1' },
    { code: 'too_many_uploads', retryAfter: '0' },
  );
  const startedAt = performance.now();
  const { status, stderr } = await push(file, 'web:/x');
  assert.equal(status, 0, stderr);
  assert.ok(performance.now() - startedAt >= 1000);
  assert.match(stderr, /next try in 1\.0s: The queue is full; try again later/);
  assert.equal(daemon.uploads.length, 1);
  assert.equal(daemon.requests.length, 3);
});

test('push exits with the status of the refusal', async () => {
  for (const [code, expected] of [
    ['queue_full', 75],
    ['disk_low', 75],
    ['too_many_uploads', 75],
    ['too_large', 76],
    ['unauthorized', 77],
    ['forbidden', 77],
    ['bad_request', 76],
  ] as const) {
    daemon.refusals.push({ code });
    const { status, stdout } = await push('--retries', '0', file, 'web:/x');
    assert.equal(status, expected, code);
    assert.equal(stdout, '');
  }
});

test('push counts the answer that comes while the body is being sent', async () => {
  writeFileSync(join(client.directory, 'huge'), Buffer.alloc(16 * 1024 * 1024));
  for (let i = 0; i < 3; i += 1) {
    daemon.refusals.push({ code: 'disk_low', afterBytes: 100_000 });
    const { status, stderr } = await push('--retries', '0', '-q', join(client.directory, 'huge'), 'web:/x');
    assert.equal(status, 75, stderr);
    assert.match(stderr, /nearly full/);
  }
});

test('push exits 74 when the connection breaks while sending, also after retries', async () => {
  writeFileSync(join(client.directory, 'huge'), Buffer.alloc(4 * 1024 * 1024));
  daemon.refusals.push(
    { code: 'internal', cut: true, afterBytes: 1000 },
    { code: 'internal', cut: true, afterBytes: 1000 },
  );
  const { status, stderr } = await push('--retries', '1', '-q', join(client.directory, 'huge'), 'web:/x');
  assert.equal(status, 74);
  assert.match(stderr, /broke while sending/);
  assert.equal(daemon.requests.length, 2);
});

test('push does not send standard input a second time', async () => {
  daemon.refusals.push({ code: 'queue_full' });
  const { status } = await client.run(['push', '-', 'web:/x', '--url', daemon.url], { stdin: 'abc' });
  assert.equal(status, 75);
  assert.equal(daemon.requests.length, 1);
});

test('push exits 66 for a source that cannot be read, and sends the others', async () => {
  const { status, stdout, stderr } = await push(join(client.directory, 'none'), file, 'web:/d/');
  assert.equal(status, 66);
  assert.match(stdout, /^\w{11} queued/);
  assert.match(stderr, /^incus-upload: Cannot read .*none: there is no such file; check its name$/m);
});

test('push exits 64 for what cannot be meant, and sends nothing', async () => {
  const directory = join(client.directory, 'dir');
  for (const [args, expected] of [
    [[directory, 'web:/x'], /is a directory; send it with all that is in it by --recursive/],
    [[file, file, 'web:/x'], /Several sources need a directory.*end it with \//],
    [[file, file, 'web:/x/'], /Two sources are named .*push them one by one/],
    [['-', 'web:/x/'], /Standard input has no name/],
    [[file], /needs a source and a destination/],
    [[file, 'nowhere'], /Not a destination: "nowhere" names no path; expected INSTANCE:\/path/],
    [[file, 'web:/x', '--mode', '999'], /octal mode/],
    [[file, 'web:/x', '--timeout', '5'], /duration/],
    [[file, 'web:/x', '--timeout', '5s'], /needs --wait/],
    [[file, 'web:/x', '--nope'], /unknown option '--nope'/],
    [[file, 'web:/x', '--project', 'a b'], /Not a project name/],
  ] as const) {
    const { status, stdout, stderr } = await push(...args);
    assert.equal(status, 64, stderr);
    assert.match(stderr, expected);
    assert.match(stderr, /^incus-upload: [^\n]*\n$/);
    assert.equal(stdout, '');
  }
  assert.equal(daemon.requests.length, 0);
});

test('push --json tells errors as objects', async () => {
  const { status, stderr } = await push('--json', join(client.directory, 'none'), 'web:/x');
  assert.equal(status, 66);
  const { error } = JSON.parse(stderr);
  assert.equal(error.code, 'source_unreadable');
  assert.equal(error.exit_status, 66);
  assert.equal(error.retryable, false);
});

test('push refuses a file that changes while it is sent', async () => {
  const changing = join(client.directory, 'changing');
  writeFileSync(changing, Buffer.alloc(8 * 1024 * 1024));
  daemon.pieceDelayMs = 2;
  const { status, stderr } = await client.run(['push', '-q', changing, 'web:/x', '--url', daemon.url], {
    meanwhile: () => {
      const timer = setInterval(() => {
        if (daemon.requests.length === 0) return;
        clearInterval(timer);
        writeFileSync(changing, Buffer.alloc(8 * 1024 * 1024, 1));
      }, 5);
    },
  });
  assert.equal(status, 66);
  assert.match(stderr, /changing changed while it was read/);
  assert.equal(daemon.uploads.length, 0);
});

test('push exits 130 when interrupted, and says whether the file was accepted', async () => {
  const slow = join(client.directory, 'slow');
  writeFileSync(slow, Buffer.alloc(8 * 1024 * 1024));
  daemon.pieceDelayMs = 50;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const before = daemon.requests.length;
    const { status, stderr } = await client.run(['push', '-q', slow, 'web:/x', '--url', daemon.url], {
      meanwhile: (child) => {
        const timer = setInterval(() => {
          if (daemon.requests.length === before) return;
          clearInterval(timer);
          child.kill(signal);
        }, 5);
      },
    });
    assert.equal(status, 130);
    assert.equal(stderr, `incus-upload: Interrupted; ${slow} was not accepted\n`);
  }
  daemon.pieceDelayMs = 0;
  const { status, stderr, stdout } = await client.run(
    ['push', '--wait', '-q', file, 'web:/x', '--url', daemon.url],
    {
      meanwhile: (child) => {
        child.stdout?.once('data', () => child.kill('SIGINT'));
      },
    },
  );
  assert.equal(status, 130);
  assert.equal(
    stderr,
    `incus-upload: Interrupted; ${stdout.trim()} was accepted and goes on being delivered\n`,
  );
});

test('push exits 69 when nothing listens, naming the address', async () => {
  const url = `unix:${join(client.directory, 'nothing')}`;
  const { status, stderr } = await client.run(['push', '-q', '--retries', '0', file, 'web:/x', '--url', url]);
  assert.equal(status, 69);
  assert.match(
    stderr,
    /Cannot reach the daemon at unix:.*nothing: there is no such socket; start the daemon/,
  );
});
