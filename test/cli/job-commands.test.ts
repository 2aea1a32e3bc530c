import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { type BuiltClient, buildClient } from '../support/built-client.ts';
import { type FakeDaemon, startFakeDaemon } from '../support/fake-daemon.ts';

let client: BuiltClient;
let daemon: FakeDaemon;

before(async () => {
  client = await buildClient();
  writeFileSync(join(client.directory, 'file'), 'hello');
});
after(() => client.remove());
beforeEach(async () => {
  daemon = await startFakeDaemon(join(client.directory, 'socket'));
});
afterEach(() => daemon.close());

const i = (...args: string[]) => client.run([...args, '--url', daemon.url]);

async function push(instance = 'web'): Promise<string> {
  const { stdout } = await i('push', '-q', join(client.directory, 'file'), `${instance}:/tmp/`);
  return stdout.trim();
}

test('jobs lists the newest first, as table, ids or objects', async () => {
  const [a, b] = [await push(), await push('db')];
  const table = (await i('jobs')).stdout.trimEnd().split('\n');
  assert.match(table[0] ?? '', /^ID +AGE +STATE +INSTANCE +PATH +SIZE +TRIES +REASON$/);
  assert.match(table[1] ?? '', new RegExp(`^${b} +\\S+s +queued +db +/tmp/file +5 B +0/10$`));
  assert.match(table[2] ?? '', new RegExp(`^${a} `));
  assert.equal((await i('jobs', '-q')).stdout, `${b}\n${a}\n`);
  const objects = (await i('--json', 'jobs')).stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).id);
  assert.deepEqual(objects, [b, a]);
});

test('jobs asks for state, instance, project and number', async () => {
  const [a] = [await push(), await push('db')];
  daemon.update(a, { state: 'delivered' });
  assert.equal((await i('jobs', '-q', '--state', 'delivered')).stdout, `${a}\n`);
  assert.equal((await i('jobs', '-q', '--instance', 'web')).stdout, `${a}\n`);
  assert.equal((await i('jobs', '-q', '--project', 'other')).stdout, '');
  assert.equal((await i('jobs', '-q', '--limit', '1')).stdout.split('\n').length, 2);
  const none = await i('jobs', '--state', 'failed');
  assert.deepEqual([none.status, none.stdout, none.stderr], [0, '', 'no jobs\n']);
  assert.equal((await i('jobs', '--state', 'lost')).status, 64);
  assert.equal((await i('jobs', '--watch')).status, 64);
});

test('show tells a job with its history', async () => {
  const id = await push();
  const at = Date.UTC(2026, 0, 1);
  const error = { code: 'connection_lost', message: 'Lost\u001b[2J it.', retryable: true } as const;
  daemon.update(id, { error, attempts: 1, history: [{ startedAt: at, endedAt: at + 1500, error }] });
  const { stdout } = await i('show', id);
  assert.match(stdout, new RegExp(`^Job: +${id}$`, 'm'));
  assert.match(stdout, /^Destination: +web:\/tmp\/file$/m);
  assert.match(stdout, /^Size: +5 B \(5 bytes\)$/m);
  assert.match(stdout, /^Error: +connection_lost: Lost\\u001b\[2J it\.$/m);
  assert.match(stdout, /^ {2}2026-01-01T00:00:00\.000Z {4}1\.5s {2}connection_lost/m);
  assert.equal(JSON.parse((await i('show', id, '--json')).stdout).history.length, 1);
  const missing = await i('show', 'nope');
  assert.deepEqual(
    [missing.status, missing.stderr],
    [76, 'incus-upload: There is no job nope; check the id\n'],
  );
});

test('wait exits 0, 1 or 124, and prints each job as it ends', async () => {
  const [a, b] = [await push(), await push()];
  const waiting = i('wait', a, b);
  while (!daemon.requests.some((line) => line.includes('wait=30')))
    await new Promise((resolve) => setImmediate(resolve));
  daemon.update(b, { state: 'delivered' });
  daemon.update(a, { state: 'delivered' });
  const { status, stdout } = await waiting;
  assert.equal(status, 0);
  assert.deepEqual(
    stdout.trimEnd().split('\n').sort(),
    [a, b].map((id) => `${id} delivered web:/tmp/file (5 B)`).sort(),
  );

  const [c, d] = [await push(), await push()];
  daemon.update(c, { state: 'cancelled' });
  const timedOut = await i('wait', c, d, '--timeout', '200ms');
  assert.equal(timedOut.status, 1);
  assert.match(timedOut.stderr, new RegExp(`^incus-upload: ${c} cancelled`, 'm'));
  assert.match(timedOut.stderr, new RegExp(`^incus-upload: ${d} is not finished yet`, 'm'));
  assert.equal((await i('wait', d, '--timeout', '0')).status, 124);
  daemon.update(d, { state: 'delivered' });
  assert.equal((await i('wait', d, '--timeout', '0')).status, 0);
});

test('wait outlives a restart of the daemon', async () => {
  const id = await push();
  const waiting = i('wait', id);
  while (!daemon.requests.some((line) => line.includes('wait=30')))
    await new Promise((resolve) => setImmediate(resolve));
  const { jobs } = daemon;
  await daemon.close();
  daemon = await startFakeDaemon(join(client.directory, 'socket'));
  for (const [known, job] of jobs) daemon.jobs.set(known, job);
  daemon.update(id, { state: 'delivered' });
  assert.equal((await waiting).status, 0);
});

test('cancel and retry take several jobs, and go on after a refusal', async () => {
  const [a, b] = [await push(), await push()];
  daemon.update(a, { state: 'delivered' });
  const cancelled = await i('cancel', a, b);
  assert.equal(cancelled.status, 76);
  assert.match(cancelled.stderr, /Cannot cancel: the job is delivered/);
  assert.match(cancelled.stdout, new RegExp(`^${b} cancelled `));
  const retried = await i('retry', '-q', b);
  assert.deepEqual([retried.status, retried.stdout], [0, `${b}\n`]);
  assert.equal(daemon.jobs.get(b)?.state, 'queued');
});

test('info describes the daemon', async () => {
  const { stdout } = await i('info');
  assert.match(stdout, /^daemon: unix:/);
  assert.match(stdout, /^version: 9\.9\.9$/m);
  assert.match(stdout, /^free_bytes: 1073741824 \(1\.0 GiB\)$/m);
  assert.equal(JSON.parse((await i('info', '--json')).stdout).version, '9.9.9');
});

test('--version and --help go to standard output, mistakes to standard error', async () => {
  const { stdout: version } = await client.run(['--version']);
  assert.match(version, /^\d+\.\d+\.\d+\n$/);
  assert.equal((await client.run(['-q', '--version'])).stdout, version);
  for (const args of [['--help'], ['help'], ['push', '--help'], ['help', 'push']]) {
    const { status, stdout, stderr } = await client.run(args);
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /^Usage: incus-upload/);
  }
  for (const args of [[], ['nope'], ['--nope'], ['jobs', 'x'], ['show'], ['--url', 'x', 'info']]) {
    const { status, stdout } = await client.run(args);
    assert.deepEqual([status, stdout], [64, ''], args.join(' '));
  }
});

test('--debug adds the stack trace', async () => {
  const { stderr } = await i('show', 'nope', '--debug');
  assert.match(stderr, /^incus-upload: There is no job nope; check the id\n.*Error: .*\n +at /);
});

test('instances lists what can be sent to, or the projects', async () => {
  const older = await i('instances');
  assert.deepEqual(
    [older.status, older.stderr],
    [76, 'incus-upload: The daemon cannot tell its instances; it is older than this client, update it\n'],
  );
  daemon.instances = [];
  assert.deepEqual(await i('instances'), { status: 0, stdout: '', stderr: 'no instances\n' });
  daemon.instances = [
    { name: 'web', project: 'default' },
    { name: 'web', project: 'lab' },
    { name: 'a-database', project: 'lab' },
  ];
  assert.equal(
    (await i('instances')).stdout,
    'INSTANCE    PROJECT\nweb         default\nweb         lab\na-database  lab\n',
  );
  assert.equal((await i('instances', '-q', '--project', 'lab')).stdout, 'web\na-database\n');
  assert.equal((await i('instances', '--projects')).stdout, 'default\nlab\n');
  assert.deepEqual(JSON.parse((await i('instances', '--json', '--project', 'default')).stdout), {
    name: 'web',
    project: 'default',
  });
  assert.equal(
    (await i('instances', '--json', '--projects')).stdout,
    '{"project":"default"}\n{"project":"lab"}\n',
  );
});
