/** What a user sees of a full disk: the whole daemon, on a small disk of its own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startDaemon } from './daemon-process.ts';
import { diskProblem, fillDisk, mountDisk } from './small-disk.ts';
import { makeDirectory } from './spool-builder.ts';

const MIB = 1 << 20;
const MAIN = fileURLToPath(new URL('../../src/daemon/main.ts', import.meta.url));
const skip = diskProblem('ext4');

function upload(url: string, path: string, body: Buffer): Promise<Response> {
  const headers = { 'X-Container-Name': 'c1', 'X-File-Path': path, Accept: 'application/json' };
  return fetch(`${url}/upload`, { method: 'POST', headers, body: new Uint8Array(body) });
}

async function counts(url: string): Promise<Record<string, number>> {
  const info = (await (await fetch(`${url}/v1/info`)).json()) as { jobs: Record<string, number> };
  return info.jobs;
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + 60_000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadlineMs, what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function assertDiskLow(response: Response): Promise<void> {
  assert.equal(response.status, 507);
  assert.match(response.headers.get('retry-after') ?? '', /^\d+$/);
  assert.equal(((await response.json()) as { code: string }).code, 'disk_low');
}

test('a daemon on a full disk refuses with 507, lives, delivers, and recovers', { skip }, async (t) => {
  const stateDir = mountDisk(t, 'ext4', 64 * MIB);
  const target = join(await makeDirectory(t), 'instances');
  const { url, child } = await startDaemon(t, [
    ...['--state-dir', stateDir, '--target', `dir:${target}`, '--min-free-space', '0', '--linger', '60s'],
  ]);
  // The target is not there yet, so these wait.
  for (let i = 0; i < 30; i += 1)
    assert.equal((await upload(url, `/small/${i}`, Buffer.alloc(2000, 's'))).status, 202);
  assert.equal((await upload(url, '/large', Buffer.alloc(3 * MIB, 'l'))).status, 202);

  const makeRoom = fillDisk(stateDir);
  const tooLarge = await upload(url, '/refused', Buffer.alloc(2 * MIB));
  await assertDiskLow(tooLarge);
  let small = await upload(url, '/squeezed/0', Buffer.alloc(30_000));
  let squeezed = 0;
  while (small.status === 202) {
    squeezed += 1;
    small = await upload(url, `/squeezed/${squeezed}`, Buffer.alloc(30_000));
  }
  await assertDiskLow(small);
  assert.equal((await fetch(`${url}/healthz`)).status, 200);

  mkdirSync(join(target, 'c1'), { recursive: true });
  await until('deliveries go on', async () => (await counts(url)).delivered === 31 + squeezed);
  assert.equal(readFileSync(join(target, 'c1', 'large')).length, 3 * MIB);
  assert.equal(child.exitCode, null);

  makeRoom();
  await until('it recovers', async () => (await upload(url, '/after', Buffer.alloc(2 * MIB))).status === 202);
  await until('the last is delivered', async () => {
    const { queued, delivering, deferred } = await counts(url);
    return queued === 0 && delivering === 0 && deferred === 0;
  });
  assert.equal((await counts(url)).failed, 0);
});

test('--min-free-space is held against declared lengths, and while a body flows', { skip }, async (t) => {
  const stateDir = mountDisk(t, 'ext4', 96 * MIB);
  const target = await makeDirectory(t);
  mkdirSync(join(target, 'c1'));
  const { url } = await startDaemon(t, [
    ...['--state-dir', stateDir, '--target', `dir:${target}`, '--min-free-space', '32MiB', '--linger', '0s'],
  ]);
  assert.equal((await upload(url, '/fits', Buffer.alloc(8 * MIB))).status, 202);
  await assertDiskLow(await upload(url, '/declared', Buffer.alloc(70 * MIB)));
  // Without a declared length it is found out on the way.
  const headers = { 'X-Container-Name': 'c1', 'X-File-Path': '/flowing', Accept: 'application/json' };
  const { port } = new URL(url);
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const sender = request({ port, path: '/upload', method: 'POST', headers }, resolve);
    const send = (left: number): void => {
      if (left === 0) sender.end();
      else sender.write(Buffer.alloc(MIB), () => send(left - 1));
    };
    // The daemon closes before it has read everything, so writing may fail first.
    sender.once('error', reject);
    // More than may be used, and less than the disk has.
    send(60);
  });
  assert.equal(answer.statusCode, 507);
  assert.match(answer.headers['retry-after'] ?? '', /^\d+$/);
  answer.destroy();
  await until('nothing is left of it', async () => (await upload(url, '/fits', Buffer.alloc(8 * MIB))).ok);
});

test('fsck exits 78 while a daemon runs, 1 with findings, 0 when clean or repaired', async (t) => {
  const stateDir = await makeDirectory(t);
  const target = await makeDirectory(t);
  const fsck = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(
      process.execPath,
      ['--import', 'tsx', MAIN, 'fsck', '--config', '/dev/null', '--state-dir', stateDir, ...args],
      { encoding: 'utf8' },
    );
  assert.equal(fsck().status, 78, 'there is no spool yet');
  const { child, url } = await startDaemon(t, ['--state-dir', stateDir, '--target', `dir:${target}`]);
  const running = fsck('--repair');
  assert.deepEqual([running.status, running.stdout], [78, '']);
  assert.match(running.stderr, /^incus-uploadd: Another incus-uploadd uses /);
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await exited;

  assert.deepEqual([fsck().status, fsck().stdout], [0, '0 jobs and 0 payload files checked: clean\n']);
  mkdirSync(join(stateDir, 'payloads'), { recursive: true });
  spawnSync('touch', [join(stateDir, 'payloads', 'abc.payload')]);
  const found = fsck();
  assert.equal(found.status, 1);
  assert.match(found.stdout, /^orphan_payload: payloads\/abc\.payload belongs to no job/);
  const json = JSON.parse(fsck('--json').stdout);
  assert.deepEqual([json.left, json.repaired, json.findings[0].kind], [1, 0, 'orphan_payload']);
  const repaired = fsck('--repair');
  assert.equal(repaired.status, 0);
  assert.match(repaired.stdout, /\[moved to lost\+found\]\n.*1 found, 1 repaired\n$/);
  assert.equal(fsck().status, 0);
});
