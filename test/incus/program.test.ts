/** The two programs and a real Incus: what a user gets, from the command line to the file in the container. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open, truncate, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { after, before, describe, it } from 'node:test';
import { incusSkipReason, openRealIncus, type RealIncus } from '../support/incus.ts';
import { type Daemon, pushFile, startDaemon } from '../support/programs.ts';

const skip = incusSkipReason() ?? false;
const KIB = 1024;
const MIB = 1024 * KIB;

let incus: RealIncus;
let daemon: Daemon;
let scratch: string;
const instance = `program-${process.pid}`;

describe('incus-upload and a real Incus', { skip }, () => {
  before(async () => {
    incus = await openRealIncus();
    await incus.incus('launch', '-q', 'bb', instance);
    scratch = mkdtempSync(join(tmpdir(), 'iu-program-'));
    daemon = await startDaemon({ target: `unix:${incus.socketPath}` });
  });
  after(async () => {
    await daemon?.close();
    await incus?.incus('delete', '-f', instance);
    await incus?.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  for (const size of [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 300 * MIB]) {
    it(`push --wait delivers ${size} bytes with equal digest, mode and owner`, async () => {
      const source = join(scratch, `size-${size}`);
      await writePattern(source, size);
      const to = `/srv/size-${size}`;
      const { status, stderr } = await push([
        '--wait',
        '--mode',
        '0751',
        '--uid',
        '12',
        '--gid',
        '34',
        source,
        `${instance}:${to}`,
      ]);
      assert.equal(status, 0, stderr);
      const stat = await exec('stat', '-c', '%a %u %g %s', to);
      assert.equal(stat.trim(), `751 12 34 ${size}`);
      assert.equal((await exec('sha256sum', to)).split(' ')[0], await digestOf(source));
      rmSync(source);
    });
  }

  it('push keeps the mode of the source file and goes into a directory with and without a final slash', async () => {
    const source = join(scratch, 'into.sh');
    writeFileSync(source, 'echo\n', { mode: 0o755 });
    assert.equal((await push(['-w', source, `${instance}:/srv/`])).status, 0);
    assert.equal((await push(['-w', source, `${instance}/opt`])).status, 0);
    assert.equal((await exec('stat', '-c', '%a', '/srv/into.sh', '/opt/into.sh')).trim(), '755\n755');
  });

  it('push makes missing parents, or is refused with parent_missing', async () => {
    const source = join(scratch, 'child');
    writeFileSync(source, 'x');
    assert.equal((await push(['-w', source, `${instance}:/new/deep/dir/child`])).status, 0);
    const refused = await push(['-w', '--no-create-dirs', '--json', source, `${instance}:/absent/child`]);
    assert.equal(refused.status, 1, refused.stderr);
    assert.match(refused.stdout + refused.stderr, /parent_missing/);
  });

  it('push fails after one attempt when there is no such instance or project, and says so', async () => {
    const source = join(scratch, 'lost');
    writeFileSync(source, 'x');
    for (const [args, code] of [
      [[], 'instance_not_found'],
      [['--project', 'no-such'], 'project_not_found'],
    ] as const) {
      const { status, stderr } = await push(['-w', ...args, source, 'no-such-instance:/tmp/x']);
      assert.equal(status, 1, stderr);
      const [job] = await daemon.jobs('?limit=1');
      assert.equal(job?.state, 'failed');
      assert.equal(job?.attempts, 1);
      assert.equal(job?.error?.code, code);
      assert.match(stderr, /no such (instance|project)|not found/i);
    }
  });

  for (const name of [
    "it's",
    'two words',
    'say "hi"',
    'line\nbreak',
    '100%',
    'grüße-日本',
    'x'.repeat(255),
  ]) {
    it(`push delivers a file named ${JSON.stringify(name.slice(0, 20))}`, async () => {
      const source = join(scratch, name);
      writeFileSync(source, name);
      const { status, stderr } = await push(['-w', source, `${instance}:/names/`]);
      assert.equal(status, 0, stderr);
      assert.equal(readFileSync(incus.hostPath(instance, `/names/${name}`), 'utf8'), name);
    });
  }

  it('the request of an old client works unchanged', async () => {
    const answer = await raw('/upload', {
      'X-Container-Name': instance,
      'X-Host-Path': '/home/me/old.bin',
      'X-File-Path': '/opt/old.bin',
      'Content-Type': 'application/octet-stream',
    });
    assert.equal(answer.status, 202);
    assert.match(answer.body, new RegExp(`queued.*${instance}`, 'i'));
    await daemon.untilIdle();
    assert.equal(await exec('cat', '/opt/old.bin'), 'old client');
  });

  it('an existing file is replaced atomically: a reader never sees a part', async () => {
    const to = incus.hostPath(instance, '/srv/atomic');
    const versions = [Buffer.alloc(3 * MIB, 'a'), Buffer.alloc(5 * MIB, 'b'), Buffer.alloc(100, 'c')];
    const source = join(scratch, 'atomic');
    writeFileSync(source, versions[0] as Buffer);
    assert.equal((await push(['-w', source, `${instance}:/srv/atomic`])).status, 0);
    let done = false;
    let reads = 0;
    const reader = (async () => {
      while (!done) {
        const handle = await open(to);
        const bytes = await handle.readFile();
        await handle.close();
        assert.ok(
          versions.some((version) => version.equals(bytes)),
          `a part of ${bytes.length} bytes was seen`,
        );
        reads += 1;
      }
    })();
    for (let i = 0; i < 12; i += 1) {
      writeFileSync(source, versions[i % versions.length] as Buffer);
      const { status, stderr } = await push(['-w', source, `${instance}:/srv/atomic`]);
      assert.equal(status, 0, stderr);
    }
    done = true;
    await reader;
    assert.ok(reads > 12);
  });

  it('a stopped and a frozen container take files', async () => {
    const source = join(scratch, 'still');
    writeFileSync(source, 'still');
    await incus.incus('pause', instance);
    assert.equal((await push(['-w', source, `${instance}:/srv/frozen`])).status, 0);
    await incus.incus('resume', instance);
    await incus.incus('stop', '-f', instance);
    assert.equal((await push(['-w', source, `${instance}:/srv/stopped`])).status, 0);
    await daemon.untilIdle();
    await incus.incus('start', instance);
    assert.equal(await exec('cat', '/srv/frozen', '/srv/stopped'), 'stillstill');
  });

  it('a snapshot one second after a delivery does not hang', async () => {
    const source = join(scratch, 'snap');
    writeFileSync(source, 'snap');
    assert.equal((await push(['-w', source, `${instance}:/srv/snap`])).status, 0);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const startedAt = Date.now();
    await incus.incus('snapshot', 'create', instance, `s${startedAt}`);
    assert.ok(Date.now() - startedAt < 15_000);
  });

  it('kill -9 right after a 202, then a start: the file is delivered', async () => {
    const source = join(scratch, 'killed');
    for (const size of [1000, 3 * MIB]) {
      await writePattern(source, size);
      const { status, stderr } = await push([source, `${instance}:/srv/killed-${size}`]);
      await daemon.kill();
      assert.equal(status, 0, stderr);
      await daemon.start();
      await daemon.untilIdle();
      assert.equal((await exec('sha256sum', `/srv/killed-${size}`)).split(' ')[0], await digestOf(source));
    }
    assert.doesNotMatch(await exec('ls', '-a', '/srv'), /incus-upload/);
  });

  it('the daemon stays below 150 MiB while a file of 2 GiB goes through', async () => {
    const source = join(scratch, 'huge');
    writeFileSync(source, '');
    await truncate(source, 2048 * MIB);
    const { status, stderr } = await push(['-w', source, `${instance}:/srv/huge`]);
    assert.equal(status, 0, stderr);
    assert.equal(statSync(incus.hostPath(instance, '/srv/huge')).size, 2048 * MIB);
    const peak = await daemon.peakMemoryBytes();
    assert.ok(peak < 150 * MIB, `${Math.round(peak / MIB)} MiB`);
    rmSync(incus.hostPath(instance, '/srv/huge'));
  });
});

function push(args: readonly string[]) {
  return pushFile(daemon, args);
}

function exec(...command: string[]): Promise<string> {
  return incus.ask(instance, ...command);
}

async function writePattern(path: string, size: number): Promise<void> {
  await writeFile(path, '');
  const handle = await open(path, 'w');
  const piece = Buffer.alloc(MIB);
  for (let done = 0; done < size; done += piece.length) {
    piece.fill(`${done}-${size}`);
    await handle.write(piece, 0, Math.min(piece.length, size - done));
  }
  await handle.close();
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

function raw(path: string, headers: Record<string, string>): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const req = request({ socketPath: daemon.socketPath, path, method: 'POST', headers }, async (res) => {
      let body = '';
      for await (const chunk of res) body += String(chunk);
      resolve({ status: res.statusCode ?? 0, body });
    });
    req.on('error', reject);
    req.end('old client');
  });
}
