/** The part of the contract of targets that says how a file comes to its place: whole, once, and leaving nothing. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { it } from 'node:test';
import { createInlineSource } from '../../src/delivery/payload-source.ts';
import { CodedError } from '../../src/errors.ts';
import { assertFailed, type ContractScene, temporariesBelow } from './contract-world.ts';
import { createGate, createReadSource, patternBytes, until } from './delivery-builder.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Adds these tests to the suite that is being described. */
export function addPlacementTests(scene: ContractScene): void {
  const { deliver, host, look, read } = scene;
  const text = (content: string) => createInlineSource(Buffer.from(content));

  it('deliver() replaces a file so that readers see the old one or the new one', async () => {
    const path = `${scene.home}/replaced`;
    const old = Buffer.alloc(MIB, 'o');
    const fresh = Buffer.alloc(MIB + 1, 'n');
    const seen = new Set<string>();
    for (let time = 0; time < 10; time += 1) {
      await deliver({ path, payload: createInlineSource(old) });
      let done = false;
      const reader = (async () => {
        while (!done) {
          const bytes = await readFile(host(path));
          assert.ok(bytes.equals(old) || bytes.equals(fresh), `a part of ${bytes.length} bytes was seen`);
          seen.add(String.fromCharCode(bytes[0] ?? 0));
        }
      })();
      assert.equal((await deliver({ path, payload: createReadSource(fresh) })).kind, 'delivered');
      done = true;
      await reader;
      assert.ok(read(path).equals(fresh));
    }
    assert.ok(seen.has('o'));
  });

  it('deliver() follows a link to a directory or a file, and replaces a link to nothing', async () => {
    fs.mkdirSync(host(`${scene.home}/real/deep`), { recursive: true });
    fs.writeFileSync(host(`${scene.home}/real/file`), 'old');
    fs.symlinkSync(`${scene.home}/real`, host(`${scene.home}/directory`));
    fs.symlinkSync('real/file', host(`${scene.home}/relative`));
    fs.symlinkSync(`${scene.home}/relative`, host(`${scene.home}/absolute`));
    fs.symlinkSync('nothing', host(`${scene.home}/dangling`));
    fs.symlinkSync('itself', host(`${scene.home}/itself`));

    const inside = await deliver({ path: `${scene.home}/directory`, sourceName: 'new', payload: text('1') });
    assert.deepEqual(inside, { kind: 'delivered', path: `${scene.home}/directory/new` });
    assert.equal(read(`${scene.home}/real/new`).toString(), '1');

    for (const name of ['relative', 'absolute']) {
      const outcome = await deliver({ path: `${scene.home}/${name}`, payload: text(name) });
      assert.deepEqual(outcome, { kind: 'delivered', path: `${scene.home}/${name}` });
      assert.ok(fs.lstatSync(host(`${scene.home}/${name}`)).isSymbolicLink());
      assert.equal(read(`${scene.home}/real/file`).toString(), name);
    }

    assert.equal((await deliver({ path: `${scene.home}/dangling`, payload: text('2') })).kind, 'delivered');
    assert.ok(fs.lstatSync(host(`${scene.home}/dangling`)).isFile());
    assertFailed(await deliver({ path: `${scene.home}/itself` }), 'permanent', 'parent_missing');
    assertFailed(await deliver({ path: `${scene.home}/itself/file` }), 'permanent', 'parent_missing');
  });

  it('deliver() never replaces a device, a pipe or a socket', async () => {
    execFileSync('mkfifo', [host(`${scene.home}/pipe`)]);
    assertFailed(await deliver({ path: `${scene.home}/pipe` }), 'permanent', 'permission_denied');
    assert.ok(fs.lstatSync(host(`${scene.home}/pipe`)).isFIFO());
  });

  it('deliver() announces the temporary file before it is there, and keeps it closed to others', async () => {
    const gate = createGate();
    const bytes = patternBytes(300 * KIB);
    const announced: string[] = [];
    const delivering = deliver({
      path: `${scene.home}/announced`,
      mode: 0o666,
      payload: createReadSource(bytes, {
        read: async (buffer, offset) => {
          if (offset > 0) await gate.promise;
          return bytes.copy(buffer, 0, offset);
        },
      }),
      onTemporary: async (path) => {
        assert.ok(!fs.existsSync(host(path)));
        announced.push(path);
      },
    });
    await until('the temporary file grows', () => {
      const temporary = announced.at(-1);
      const stats = temporary && fs.lstatSync(host(temporary), { throwIfNoEntry: false });
      return stats !== undefined && stats !== '' && stats.size === bytes.length;
    });
    assert.equal(dirname(announced.at(-1) ?? ''), scene.home);
    assert.equal((await look(announced.at(-1) ?? '')).mode.toString(8), '600');
    assert.ok(!fs.existsSync(host(`${scene.home}/announced`)));
    gate.open();
    assert.equal((await delivering).kind, 'delivered');
    assert.equal((await look(`${scene.home}/announced`)).mode.toString(8), '666');
  });

  it('deliver() makes no temporary file when it could not be announced', async () => {
    const outcome = await deliver({
      path: `${scene.home}/file`,
      onTemporary: () => Promise.reject(new Error('no')),
    });
    assertFailed(outcome, 'transient', 'internal');
    assert.deepEqual(fs.readdirSync(host(scene.home)), []);
  });

  it('deliver() shows nothing before the payload is committed, and nothing at all when it is given up', async () => {
    for (const source of [createInlineSource, createReadSource]) {
      const commit = createGate<number>();
      let renamed = false;
      const path = `${scene.home}/committed`;
      const delivering = deliver({
        path,
        payload: { ...source(Buffer.from('later')), committed: commit.promise },
        onRename: () => {
          renamed = true;
        },
      });
      await until('the file is written', () =>
        temporariesBelow(host(scene.home)).some((file) => fs.statSync(file).size === 5),
      );
      assert.ok(!renamed);
      commit.open(5);
      assert.equal((await delivering).kind, 'delivered');
      assert.ok(renamed);

      const givenUp = createGate<number>();
      const failing = deliver({
        path: `${scene.home}/given up`,
        payload: { ...source(Buffer.from('never')), committed: givenUp.promise },
      });
      await until('the file is written', () => temporariesBelow(host(scene.home)).length === 1);
      givenUp.fail(new CodedError('stalled'));
      assertFailed(await failing, 'transient', 'stalled');
      assert.deepEqual(fs.readdirSync(host(scene.home)), ['committed']);
    }
  });

  it('deliver() fails for ever when the payload is lost or shorter than it was', async () => {
    const lost = createReadSource(Buffer.from('xyz'), {
      read: () => Promise.reject(new CodedError('payload_lost')),
    });
    assertFailed(await deliver({ path: `${scene.home}/lost`, payload: lost }), 'permanent', 'payload_lost');
    const short = createReadSource(Buffer.from('xyz'), { committed: Promise.resolve(4) });
    assertFailed(await deliver({ path: `${scene.home}/short`, payload: short }), 'permanent', 'payload_lost');
    assert.deepEqual(fs.readdirSync(host(scene.home)), []);
  });

  it('deliver() stops at once when told to, and leaves nothing', async () => {
    const stopped = await deliver({ path: `${scene.home}/before`, signal: AbortSignal.abort() });
    assertFailed(stopped, 'transient', 'cancelled');
    const controller = new AbortController();
    const reading = createGate();
    const delivering = deliver({
      path: `${scene.home}/during`,
      signal: controller.signal,
      payload: createReadSource(patternBytes(MIB), {
        read: (buffer, offset) => {
          if (offset === 0) return Promise.resolve(patternBytes(MIB).copy(buffer));
          reading.open();
          return new Promise(() => {});
        },
      }),
    });
    await reading.promise;
    controller.abort();
    assertFailed(await delivering, 'transient', 'cancelled');
    assert.deepEqual(fs.readdirSync(host(scene.home)), []);
  });

  it('removeTemporary() removes a file, and is content when it is not there', async () => {
    const { target, project, instance } = scene.world;
    fs.writeFileSync(host(`${scene.home}/left`), 'x');
    fs.writeFileSync(host(`${scene.home}/precious`), 'x');
    fs.symlinkSync('precious', host(`${scene.home}/planted`));
    assert.equal(await target.removeTemporary(project, instance, `${scene.home}/left`), true);
    assert.ok(!fs.existsSync(host(`${scene.home}/left`)));
    assert.equal(await target.removeTemporary(project, instance, `${scene.home}/left`), true);
    assert.equal(await target.removeTemporary(project, instance, `${scene.home}/none/left`), true);
    assert.equal(await target.removeTemporary(project, 'no-such', '/left'), true);
    assert.equal(await target.removeTemporary(project, instance, `${scene.home}/planted`), true);
    assert.deepEqual(fs.readdirSync(host(scene.home)), ['precious']);
  });

  it('removeTemporary() removes a staging directory with what was made in it, and nothing else', async () => {
    const { target, project, instance } = scene.world;
    const staging = `${scene.home}/staging`;
    const make = (...names: string[]) => {
      fs.mkdirSync(host(staging), { recursive: true });
      for (const name of names) fs.writeFileSync(host(`${staging}/${name}`), 'x');
    };
    make('1', '2', 'zz');
    fs.symlinkSync('/opt', host(`${staging}/3`));
    assert.equal(await target.removeTemporary(project, instance, staging), true);
    assert.ok(!fs.existsSync(host(staging)));
    make();
    assert.equal(await target.removeTemporary(project, instance, staging), true);
    assert.ok(!fs.existsSync(host(staging)));
    make('1', 'of somebody else');
    assert.equal(await target.removeTemporary(project, instance, staging), true);
    assert.deepEqual(fs.readdirSync(host(staging)), ['of somebody else']);
  });
}
