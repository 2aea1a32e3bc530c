/** `doctor`, against real daemons in several states of health. */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Finding } from '../../src/client/finding.ts';
import { type BuiltClient, buildClient } from '../support/built-client.ts';
import { needsRoot, runAsNobody } from '../support/ordinary-user.ts';
import { type Daemon, startDaemon } from '../support/programs.ts';

let client: BuiltClient;
let daemon: Daemon;
let url: string;

before(async () => {
  client = await buildClient();
  mkdirSync(join(client.directory, 'target', 'web'), { recursive: true });
  daemon = await startDaemon({
    target: `dir:${join(client.directory, 'target')}`,
    args: ['--socket-mode', '0660'],
  });
  url = `unix:${daemon.socketPath}`;
});
after(async () => {
  await daemon.close();
  client.remove();
});

/** What is not well, as `check status`. */
const troubles = (stdout: string): string[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Finding)
    .filter(({ status }) => status !== 'ok')
    .map(({ check, status }) => `${check} ${status}`);

test('doctor finds all well', async () => {
  const { status, stdout, stderr } = await client.run(['doctor', '--url', url]);
  assert.deepEqual([status, stderr], [0, '']);
  const lines = stdout.trim().split('\n');
  assert.deepEqual(
    lines.map((line) => line.split(/ +/).slice(0, 2).join(' ')),
    ['config', 'socket', 'daemon', 'clock', 'version', 'incus', 'disk', 'queue'].map(
      (check) => `ok ${check}`,
    ),
  );
  assert.match(stdout, /^ok +socket +\S+ is open to you \(mode 0660, group \S+\)$/m);
  const quiet = await client.run(['doctor', '-q', '--url', url]);
  assert.deepEqual(quiet, { status: 0, stdout: '', stderr: '' });
});

test('doctor tells of a daemon that is not there, and how to start it', async () => {
  const away = await client.run(['doctor', '--url', `unix:${join(client.directory, 'none')}`]);
  assert.equal(away.status, 1);
  assert.match(away.stdout, /^problem +socket +there is no socket \S+; start the daemon that listens there/m);
  assert.equal(away.stderr, 'the rest cannot be looked at before that is mended\n');
  const left = await client.run(['doctor', '--json', '--url', 'http://127.0.0.1:1']);
  assert.equal(left.status, 1);
  assert.deepEqual(troubles(left.stdout), ['daemon problem']);
  assert.equal(left.stderr, '');
});

test('doctor tells that Incus is away', async () => {
  const alone = await startDaemon({ target: `unix:${join(client.directory, 'no-incus')}` });
  try {
    for (;;) {
      const { reachable } = (await alone.get('/v1/info')) as { reachable: boolean };
      if (!reachable) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const { status, stdout } = await client.run(['doctor', '--url', `unix:${alone.socketPath}`]);
    assert.equal(status, 1);
    assert.match(stdout, /^problem +incus +.*no-incus.* since .*; files are taken and wait; \S+/m);
    assert.match(stdout, /^ok +daemon /m);
    assert.match(stdout, /^ok +queue /m);
  } finally {
    await alone.close();
  }
});

test('doctor tells that the disk is low', async () => {
  const low = await startDaemon({
    target: `dir:${join(client.directory, 'target')}`,
    args: ['--min-free-space', '1000000GiB'],
  });
  try {
    const { status, stdout } = await client.run(['doctor', '--json', '--url', `unix:${low.socketPath}`]);
    assert.equal(status, 1);
    assert.ok(troubles(stdout).includes('disk problem'), stdout);
  } finally {
    await low.close();
  }
});

test('doctor tells an ordinary user which group to join', { skip: needsRoot }, async () => {
  chmodSync(dirname(daemon.socketPath), 0o755);
  chownSync(daemon.socketPath, 0, 4);
  const { status, stdout } = await runAsNobody(client, ['doctor', '--url', url]);
  assert.equal(status, 1);
  assert.match(
    stdout,
    /^problem +socket +\S+ is closed to you \(mode 0660, group adm\); join the group adm \(usermod -aG adm nobody, then log in again\)$/m,
  );
  chmodSync(dirname(daemon.socketPath), 0o750);
  chownSync(dirname(daemon.socketPath), 0, 4);
  const hidden = await runAsNobody(client, ['doctor', '--url', url]);
  assert.match(hidden.stdout, /^problem +socket +\S+ is closed to you; join the group adm /m);
});

test('doctor tells of failed jobs, of files that others can read, and of a broken configuration', async () => {
  const file = join(client.directory, 'file');
  writeFileSync(file, 'x');
  const pushed = await client.run(['push', '-q', '--wait', file, 'none:/x', '--url', url]);
  assert.equal(pushed.status, 1);
  const token = join(client.directory, 'token');
  writeFileSync(token, 'secret\n', { mode: 0o644 });
  const env = { XDG_CONFIG_HOME: join(client.directory, 'config') };
  const config = join(client.directory, 'config', 'incus-upload', 'config.yml');
  mkdirSync(dirname(config), { recursive: true });
  writeFileSync(config, `remotes:\n  here:\n    url: ${url}\n`, { mode: 0o644 });
  const loose = await client.run(['doctor', '--json', '--remote', 'here'], { env });
  assert.deepEqual(troubles(loose.stdout), ['config warning', 'queue warning']);
  assert.equal(loose.status, 0);
  const shown = await client.run(['doctor', '--url', url, '--token-file', token], { env });
  assert.match(
    shown.stdout,
    /^warning +token +its file \S+ can be read by others \(mode 0644\); chmod 600 /m,
  );
  assert.match(shown.stdout, /^problem +daemon +.*token/m);
  writeFileSync(config, 'remotes: [');
  const broken = await client.run(['doctor'], { env });
  assert.equal(broken.status, 1);
  assert.match(broken.stdout, /^problem +config +\S+config\.yml: not valid YAML: .*; correct or remove it$/m);
});
