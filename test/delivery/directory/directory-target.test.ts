import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DirectoryTarget } from '../../../src/delivery/directory/directory-target.ts';
import { createInlineSource } from '../../../src/delivery/payload-source.ts';
import type { Delivery } from '../../../src/delivery/target.ts';
import { assertFailed, temporariesBelow } from '../contract-world.ts';
import { createDelivery, createReadSource, patternBytes, until } from '../delivery-builder.ts';

let directory = '';
let target: DirectoryTarget;
/** A path inside the instance, and one beside it. */
const inside = (path: string) => join(directory, 'instances/c1', path);
const outside = (path: string) => join(directory, 'outside', path);

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'directory-target-'));
  fs.mkdirSync(inside('opt'), { recursive: true });
  fs.mkdirSync(outside(''));
  fs.writeFileSync(outside('secret'), 'secret');
  target = new DirectoryTarget(join(directory, 'instances'));
});
afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

const deliver = (changes: Partial<Delivery>) => target.deliver(createDelivery(changes));

function replaceDirectory(from: string, to: string): void {
  for (;;) {
    try {
      fs.renameSync(from, to);
      return;
    } catch {
      fs.rmSync(to, { recursive: true, force: true });
    }
  }
}

function isLink(path: string): boolean {
  return fs.lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

function assertOutsideUntouched(): void {
  assert.deepEqual(fs.readdirSync(outside('')), ['secret']);
  assert.equal(fs.readFileSync(outside('secret'), 'utf8'), 'secret');
}

describe('DirectoryTarget', () => {
  it('deliver() brings several large files at once, and gives up one of them when it is told to', async () => {
    const bytes = patternBytes((17 << 20) + 5);
    const controller = new AbortController();
    const outcomes = await Promise.all(
      [1, 2, 3, 4].map((number) => {
        const stop = number === 2 ? { signal: controller.signal, onProgress: () => controller.abort() } : {};
        const payload = createReadSource(bytes, { expectedBytes: bytes.length });
        return deliver({ path: `/opt/large${number}`, payload, ...stop });
      }),
    );
    const kinds = outcomes.map(({ kind }) => kind);
    assert.deepEqual(kinds, ['delivered', 'transient', 'delivered', 'delivered']);
    for (const number of [1, 3, 4]) assert.ok(fs.readFileSync(inside(`opt/large${number}`)).equals(bytes));
    assert.deepEqual(fs.readdirSync(inside('opt')).sort(), ['large1', 'large3', 'large4']);
  });

  it('deliver() takes links as a process confined to the instance would', async () => {
    fs.symlinkSync(outside(''), inside('absolute'));
    fs.symlinkSync(`${'../'.repeat(20)}${outside('').slice(1)}`, inside('relative'));
    fs.symlinkSync(outside('secret'), inside('to-file'));
    fs.symlinkSync('..', inside('opt/up'));
    fs.symlinkSync('../../../../../..', inside('opt/far-up'));
    fs.symlinkSync('/', inside('opt/root'));

    for (const path of ['/absolute/file', '/relative/file']) {
      // There is no such directory inside, and none is made where a link says.
      assertFailed(await deliver({ path }), 'permanent', 'parent_missing');
    }
    assert.deepEqual(await deliver({ path: '/to-file' }), { kind: 'delivered', path: '/to-file' });
    assert.ok(fs.lstatSync(inside('to-file')).isFile());
    for (const [path, real] of [
      ['/opt/up/1', '1'],
      ['/opt/far-up/2', '2'],
      ['/opt/root/3', '3'],
      ['/opt/up/opt/up/opt/up/4', '4'],
    ] as const) {
      assert.deepEqual(await deliver({ path, payload: createInlineSource(Buffer.from(path)) }), {
        kind: 'delivered',
        path,
      });
      assert.equal(fs.readFileSync(inside(real), 'utf8'), path);
    }
    for (const path of ['/opt/up', '/opt/far-up', '/opt/root']) {
      assert.equal((await deliver({ path, sourceName: 'named' })).kind, 'delivered');
      assert.ok(fs.existsSync(inside('named')));
      fs.rmSync(inside('named'));
    }
    assertOutsideUntouched();
  });

  it('deliver() bounds the work of links that go up and down', async () => {
    let path = '/';
    for (let depth = 0; depth < 100; depth += 1) path += 'd/';
    fs.mkdirSync(inside(path), { recursive: true });
    fs.symlinkSync(`${path}${'x/../'.repeat(700)}`.slice(0, 4000), inside('zigzag'));
    fs.mkdirSync(inside(`${path}x`));
    const startedAt = performance.now();
    const outcome = await deliver({ path: '/zigzag/file' });
    assert.equal(outcome.kind, 'permanent');
    assert.ok(performance.now() - startedAt < 20_000);
  });

  it('deliver() never leaves the instance while somebody swaps directories for links', {
    timeout: 60_000,
  }, async () => {
    fs.mkdirSync(inside('swap/deep'), { recursive: true });
    let done = false;
    const swapping = (async () => {
      while (!done) {
        fs.renameSync(inside('swap'), inside('kept'));
        // A delivery may have made the directory in this moment.
        while (!isLink(inside('swap'))) {
          fs.rmSync(inside('swap'), { recursive: true, force: true });
          try {
            fs.symlinkSync(outside(''), inside('swap'));
          } catch {}
        }
        await new Promise((resolve) => setImmediate(resolve));
        fs.unlinkSync(inside('swap'));
        replaceDirectory(inside('kept'), inside('swap'));
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    let delivered = 0;
    for (let round = 0; round < 300; round += 1) {
      const outcomes = await Promise.all(
        ['/swap/file', '/swap/secret', '/swap/deep/file'].map((path) =>
          deliver({ path, createDirs: round % 2 === 0 }),
        ),
      );
      delivered += outcomes.filter(({ kind }) => kind === 'delivered').length;
      await target.removeTemporary('default', 'c1', '/swap/secret');
      assertOutsideUntouched();
    }
    done = true;
    await swapping;
    assert.ok(delivered > 0);
  });

  it('deliver() knows no instance that is a link, a file or a path', async () => {
    fs.symlinkSync(outside(''), join(directory, 'instances/link'));
    fs.writeFileSync(join(directory, 'instances/file'), '');
    for (const instance of ['link', 'file', '..', '.', 'c1/opt', 'none']) {
      assertFailed(await deliver({ instance }), 'permanent', 'instance_not_found');
    }
    assertOutsideUntouched();
  });

  it('deliver() says that the target is away when its directory is', async () => {
    fs.rmSync(join(directory, 'instances'), { recursive: true });
    const outcome = await deliver({});
    assertFailed(outcome, 'transient', 'target_unreachable');
    assert.ok(outcome.kind === 'transient' && outcome.scope === 'target');
    const probed = await target.probe(1000);
    assert.ok(!probed.reachable && probed.reason.includes(directory));
    assert.equal(await target.removeTemporary('default', 'c1', '/opt/x'), false);
  });

  it('deliver() tells a full disk, and leaves nothing', {
    skip: process.geteuid?.() !== 0 && 'needs root',
  }, async () => {
    fs.mkdirSync(inside('small'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', inside('small')]);
    try {
      for (const source of [createInlineSource, createReadSource]) {
        const outcome = await deliver({
          path: '/small/large',
          payload: source(patternBytes(2 * 1024 * 1024)),
        });
        assertFailed(outcome, 'transient', 'instance_disk_full');
        assert.ok(outcome.kind === 'transient' && outcome.slow);
        assert.deepEqual(fs.readdirSync(inside('small')), []);
      }
    } finally {
      execFileSync('umount', [inside('small')]);
    }
  });

  it('deliver() leaves the owner alone as an ordinary user', {
    skip: process.geteuid?.() !== 0 && 'needs root',
  }, async () => {
    const nobody = 65534;
    fs.chmodSync(directory, 0o755);
    fs.chownSync(inside('opt'), nobody, nobody);
    fs.mkdirSync(inside('closed'), { mode: 0o700 });
    const program = `
      import { openTarget } from './src/delivery/open-target.ts';
      import { createDelivery } from './test/delivery/delivery-builder.ts';
      process.setgroups?.([]);
      process.setgid?.(${nobody});
      process.setuid?.(${nobody});
      const target = openTarget(${JSON.stringify(`dir:${directory}/instances`)});
      const deliver = (path) => target.deliver(createDelivery({ path, mode: 0o640, uid: 1000, gid: 1000 }));
      console.log(JSON.stringify([await deliver('/opt/a/file'), await deliver('/closed/file'), await deliver('/file')]));`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', program],
      { cwd: fileURLToPath(new URL('../../..', import.meta.url)) },
    );
    const [delivered, closed, top] = JSON.parse(stdout);
    assert.deepEqual(delivered, { kind: 'delivered', path: '/opt/a/file' });
    const { uid, gid, mode } = fs.statSync(inside('opt/a/file'));
    assert.deepEqual([uid, gid, mode & 0o7777], [nobody, nobody, 0o640]);
    assertFailed(closed, 'permanent', 'permission_denied');
    assertFailed(top, 'permanent', 'permission_denied');
  });

  it('deliver() leaves a foreign file of the temporary name alone', async () => {
    fs.writeFileSync(inside('opt/foreign'), 'precious');
    const outcome = await deliver({ temporaryName: 'foreign' });
    assertFailed(outcome, 'transient', 'instance_unavailable');
    assert.equal(fs.readFileSync(inside('opt/foreign'), 'utf8'), 'precious');
  });

  it('no file descriptor is left open, however a delivery ends', async () => {
    const descriptors = () => fs.readdirSync('/proc/self/fd').length;
    await deliver({});
    const before = descriptors();
    fs.symlinkSync('itself', inside('itself'));
    for (let round = 0; round < 20; round += 1) {
      await deliver({ path: `/a/b${round}/c/file` });
      await deliver({ path: '/none/file', createDirs: false });
      await deliver({ path: '/itself/file' });
      await deliver({ path: '/opt', sourceName: '' });
      await deliver({
        path: '/opt/',
        sourceName: 'x',
        payload: createReadSource(Buffer.alloc(9), { committed: Promise.reject(new Error('no')) }),
      });
      await deliver({ signal: AbortSignal.abort() });
      await deliver({ instance: 'none' });
      await target.removeTemporary('default', 'c1', '/a/none/x');
      const controller = new AbortController();
      const stopped = deliver({ path: `/deep/${'d/'.repeat(50)}file`, signal: controller.signal });
      await new Promise((resolve) => setImmediate(resolve));
      controller.abort();
      await stopped;
    }
    await until('all are closed', () => descriptors() <= before);
    assert.deepEqual(temporariesBelow(inside('')), []);
  });

  it('removeTemporary() removes a link and not what it points to, and no files of others', async () => {
    fs.symlinkSync('/opt/precious', inside('opt/planted'));
    fs.writeFileSync(inside('opt/precious'), '');
    assert.equal(await target.removeTemporary('default', 'c1', '/opt/planted'), true);
    assert.deepEqual(fs.readdirSync(inside('opt')), ['precious']);
    fs.mkdirSync(inside('opt/directory'));
    fs.writeFileSync(inside('opt/directory/file.txt'), '');
    assert.equal(await target.removeTemporary('default', 'c1', '/opt/directory'), true);
    assert.deepEqual(fs.readdirSync(inside('opt/directory')), ['file.txt']);
  });

  it('instances() lists directories alone', async () => {
    fs.mkdirSync(join(directory, 'instances/c2'));
    fs.mkdirSync(join(directory, 'instances/not_a_name'));
    fs.writeFileSync(join(directory, 'instances/file'), '');
    const names = (await target.instances(undefined)).map(({ instance }) => instance);
    assert.deepEqual(names.toSorted(), ['c1', 'c2']);
    assert.deepEqual(await target.instances('default'), await target.instances(undefined));
    assert.deepEqual(await target.instances('shop'), []);
    await assert.rejects(target.configuredInstances(), { code: 'bad_request', message: /no configuration/ });
    fs.rmSync(join(directory, 'instances'), { recursive: true });
    await assert.rejects(target.instances(undefined), { code: 'target_unreachable' });
  });

  it('deliver() counts as delivered when it is told to stop while the file is put into place', async () => {
    for (let i = 0; i < 5; i += 1) {
      const controller = new AbortController();
      // The rename has been handed to the system by then, and cannot be called back.
      const onRename = () => queueMicrotask(() => controller.abort());
      const path = `/opt/late-${i}`;
      assert.deepEqual(await deliver({ path, onRename, signal: controller.signal }), {
        kind: 'delivered',
        path,
      });
      assert.equal(fs.readFileSync(inside(path), 'utf8'), 'x');
    }
  });

  it('deliver() told to stop just before that leaves nothing', async () => {
    const controller = new AbortController();
    const outcome = await deliver({ onRename: () => controller.abort(), signal: controller.signal });
    assertFailed(outcome, 'transient', 'cancelled');
    assert.deepEqual(fs.readdirSync(inside('opt')), []);
  });
});
