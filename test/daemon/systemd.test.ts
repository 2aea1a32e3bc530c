import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createNotifier, listenFds, watchdogIntervalMs } from '../../src/daemon/systemd.ts';

test('listenFds() gives the sockets with their names from descriptor 3 on', () => {
  const env = { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'uploadd.socket:https' };
  assert.deepEqual(listenFds(env, 7), [
    { fd: 3, name: 'uploadd.socket' },
    { fd: 4, name: 'https' },
  ]);
  assert.deepEqual(listenFds({ LISTEN_PID: '7', LISTEN_FDS: '1' }, 7), [{ fd: 3, name: 'unknown' }]);
});

test('listenFds() ignores what is meant for another process or is malformed', () => {
  assert.deepEqual(listenFds({}, 7), []);
  assert.deepEqual(listenFds({ LISTEN_PID: '8', LISTEN_FDS: '1' }, 7), []);
  for (const count of ['', '-1', '1.5', 'x', '0']) {
    assert.deepEqual(listenFds({ LISTEN_PID: '7', LISTEN_FDS: count }, 7), []);
  }
});

test('watchdogIntervalMs() is half of what systemd allows', () => {
  assert.equal(watchdogIntervalMs({ WATCHDOG_USEC: '30000000' }, 7), 15000);
  assert.equal(watchdogIntervalMs({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '7' }, 7), 15000);
  assert.equal(watchdogIntervalMs({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '8' }, 7), null);
  assert.equal(watchdogIntervalMs({}, 7), null);
  assert.equal(watchdogIntervalMs({ WATCHDOG_USEC: 'soon' }, 7), null);
});

test('createNotifier() does nothing without a socket', async () => {
  await createNotifier({}, assert.fail).notify('READY=1');
});

test('createNotifier() tells lines in order, each as one assignment', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'incus-upload-notify-'));
  try {
    const told = join(directory, 'told');
    const program = join(directory, 'systemd-notify');
    writeFileSync(program, `#!/bin/sh\nfor line; do echo "$line"; done >> ${told}\n`);
    chmodSync(program, 0o755);
    const env = { NOTIFY_SOCKET: '/nowhere', PATH: `${directory}:/usr/bin:/bin` };
    const { notify } = createNotifier(env, assert.fail);
    void notify('READY=1', 'STATUS=1 queued\nREADY=0');
    await notify('STOPPING=1');
    assert.equal(readFileSync(told, 'utf8'), 'READY=1\nSTATUS=1 queued READY=0\nSTOPPING=1\n');
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('createNotifier() says that the program is missing and goes on', async () => {
  const problems: string[] = [];
  const env = { NOTIFY_SOCKET: '/nowhere', PATH: '/nonexistent' };
  await createNotifier(env, (problem) => problems.push(problem)).notify('READY=1');
  assert.match(problems.join(), /ENOENT/);
});

const isMissing = (program: string): boolean => spawnSync(program, ['--version']).error !== undefined;
const missing = ['perl', 'systemd-notify'].filter(isMissing).map((program) => `needs ${program}`);

test('createNotifier() reaches a real notification socket', { skip: missing[0] ?? false }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'incus-upload-notify-'));
  const path = join(directory, 'notify');
  // The descriptor that systemd-notify sends after its message, and waits for, is dropped by a plain recv.
  const program = `
    use Socket; $| = 1;
    socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die; bind($s, sockaddr_un($ARGV[0])) or die; print "up\\n";
    while (defined recv($s, my $data, 4096, 0)) { print "$data\\n" }`;
  const child = spawn('perl', ['-e', program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  let told = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    told += text;
  });
  try {
    while (!told.includes('up')) await once(child.stdout, 'data');
    const { notify } = createNotifier({ NOTIFY_SOCKET: path, PATH: process.env.PATH }, assert.fail);
    await notify('READY=1', 'STATUS=ready');
    while (!told.includes('STATUS=ready')) await once(child.stdout, 'data');
    assert.match(told, /READY=1\nSTATUS=ready/);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
    rmSync(directory, { recursive: true });
  }
});
