/** One file for several containers of a real Incus: sent once, stored once, delivered to each. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { after, before, describe, it } from 'node:test';
import { incusSkipReason, openRealIncus, type RealIncus } from '../support/incus.ts';
import { type Daemon, pushFile, runClient, startDaemon } from '../support/programs.ts';

const MIB = 1 << 20;
const SIZE = 256 * MIB;
const names = [1, 2, 3, 4, 5].map((number) => `batch-${process.pid}-${number}`);
const pattern = `batch-${process.pid}-*`;

describe('One file for several containers', { skip: incusSkipReason() ?? false }, () => {
  let incus: RealIncus;
  let daemon: Daemon;
  let scratch: string;
  let file: string;
  let digest: string;

  before(async () => {
    incus = await openRealIncus();
    for (const [index, name] of names.entries())
      await incus.incus('launch', '-q', 'bb', name, '-c', `user.role=${index < 2 ? 'web' : 'db'}`);
    scratch = mkdtempSync(join(tmpdir(), 'iu-batch-'));
    file = join(scratch, 'image');
    digest = await writePattern(file);
    daemon = await startDaemon({
      target: `unix:${incus.socketPath}`,
      args: [
        '--linger',
        '0s',
        '--retry-min-delay',
        '100ms',
        '--retry-max-delay',
        '100ms',
        '--max-attempts',
        '2',
      ],
    });
  });
  after(async () => {
    await daemon?.close();
    for (const name of names) await incus?.incus('delete', '-f', name).catch(() => undefined);
    await incus?.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  it('256 MiB for five containers are one upload and one spooled copy', { timeout: 300_000 }, async (t) => {
    let peakFiles = 0;
    let peakBytes = 0;
    let done = false;
    const watching = (async () => {
      while (!done) {
        const { files, bytes } = await spooled(daemon.stateDir);
        peakFiles = Math.max(peakFiles, files);
        peakBytes = Math.max(peakBytes, bytes);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    const receivedBefore = await receivedBytes(daemon);
    const startedAt = performance.now();
    const { status, stderr } = await pushFile(daemon, ['--wait', file, `${pattern}:/srv/image`]);
    const tookMs = performance.now() - startedAt;
    done = true;
    await watching;
    assert.equal(status, 0, stderr);
    for (const name of names) {
      assert.equal(await digestOf(incus.hostPath(name, '/srv/image')), digest, name);
      assert.deepEqual(await readdir(incus.hostPath(name, '/srv')), ['image']);
    }
    const received = (await receivedBytes(daemon)) - receivedBefore;
    assert.equal(received, SIZE);
    assert.equal(peakFiles, 1);
    assert.ok(peakBytes < 1.25 * SIZE, `${peakBytes} bytes in the state directory`);
    assert.deepEqual(await readdir(join(daemon.stateDir, 'payloads')), []);
    t.diagnostic(
      `${received / MIB} MiB received, at most ${peakFiles} payload file and ${(peakBytes / MIB).toFixed(1)} MiB in the state directory, five deliveries in ${(tookMs / 1000).toFixed(2)} s`,
    );
  });

  it('--all-with chooses by the configuration', { timeout: 60_000 }, async () => {
    const { status, stdout, stderr } = await pushFile(daemon, [
      '-w',
      '--all-with',
      'user.role=web',
      file,
      ':/opt/role',
    ]);
    assert.equal(status, 0, stderr);
    const jobs = stdout
      .trimEnd()
      .split('\n')
      .map((line) => /queued (\S+):/.exec(line)?.[1]);
    assert.deepEqual(jobs, names.slice(0, 2));
    assert.equal(statSync(incus.hostPath(names[0] ?? '', '/opt/role')).size, SIZE);
  });

  it('wait tells which of a batch failed, and retry delivers it from the one copy', {
    timeout: 60_000,
  }, async () => {
    const missing = `absent-${process.pid}`;
    const pushed = await pushFile(daemon, ['--json', file, `${names[0]},${missing}:/srv/retried`]);
    const { batch } = JSON.parse(pushed.stdout.split('\n')[0] ?? '');
    const waited = await runClient(daemon, ['wait', batch]);
    assert.equal(waited.status, 1);
    assert.match(waited.stderr, new RegExp(`${missing} +/srv/retried +failed +instance_not_found`));
    assert.match(waited.stderr, new RegExp(`1 of the 2 jobs of ${batch} came to nothing`));
    await incus.incus('launch', '-q', 'bb', missing);
    try {
      assert.equal((await runClient(daemon, ['retry', batch])).status, 0);
      assert.equal((await runClient(daemon, ['wait', batch])).status, 0);
      assert.equal(await digestOf(incus.hostPath(missing, '/srv/retried')), digest);
    } finally {
      await incus.incus('delete', '-f', missing);
    }
  });
});

async function writePattern(path: string): Promise<string> {
  const hash = createHash('sha256');
  const handle = await open(path, 'w');
  for (let at = 0; at < SIZE / MIB; at += 1) {
    const piece = Buffer.alloc(MIB, `${at}.`);
    hash.update(piece);
    await handle.write(piece);
  }
  await handle.close();
  return hash.digest('hex');
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** Files of payloads, and bytes that the state directory takes on the disk. */
async function spooled(stateDir: string): Promise<{ files: number; bytes: number }> {
  const entries = await readdir(stateDir, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      stat(join(entry.parentPath, entry.name)).then(
        ({ blocks }) => blocks * 512,
        () => 0,
      ),
    );
  const bytes = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  return { files: entries.filter(({ name }) => name.endsWith('.payload')).length, bytes };
}

async function receivedBytes({ socketPath }: Daemon): Promise<number> {
  const text = await new Promise<string>((resolve, reject) => {
    const asked = request({ socketPath, path: '/metrics' }, async (response) => {
      let body = '';
      for await (const piece of response) body += String(piece);
      resolve(body);
    });
    asked.on('error', reject);
    asked.end();
  });
  const line = /^incus_upload\S*upload\S*bytes\S* (\d+)$/m.exec(text);
  assert.ok(line, text);
  return Number(line[1]);
}
