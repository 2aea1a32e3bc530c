/**
 * What every kind of target must do, run against each of them. Here: bytes, names, owners, modes and directories; how
 * a file comes to its place is in placement-contract.ts.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { describe, it } from 'node:test';
import { createInlineSource } from '../../src/delivery/payload-source.ts';
import { assertFailed, type ContractWorld, createScene } from './contract-world.ts';
import { createReadSource, patternBytes } from './delivery-builder.ts';
import { addPlacementTests } from './placement-contract.ts';
import { addTreeTests } from './tree-contract.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** The whole contract, as one suite. */
export function runTargetContract(name: string, open: () => Promise<ContractWorld>, skip?: string): void {
  describe(`${name} as a target`, { skip: skip ?? false }, () => {
    const scene = createScene(open);
    const { deliver, host, look, read } = scene;
    const text = (content: string) => createInlineSource(Buffer.from(content));

    for (const [way, source] of [
      ['inline', createInlineSource],
      ['read in pieces', createReadSource],
    ] as const) {
      it(`deliver() brings files of every size whole, ${way}`, async () => {
        for (const size of [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB, 3 * MIB + 7]) {
          const bytes = patternBytes(size, size + 1);
          const path = `${scene.home}/size ${size}`;
          const seen: number[] = [];
          const outcome = await deliver({
            path,
            payload: source(bytes),
            mode: 0o640,
            uid: 1000,
            gid: 1001,
            onProgress: (done) => seen.push(done),
          });
          assert.deepEqual(outcome, { kind: 'delivered', path });
          assert.ok(read(path).equals(bytes), `${size} bytes differ`);
          const { mode, uid, gid } = await look(path);
          assert.equal(mode.toString(8), '640');
          if (scene.world.keepsOwner) assert.deepEqual([uid, gid], [1000, 1001]);
          if (size > 0) assert.equal(seen.at(-1), size);
          assert.deepEqual(
            seen,
            seen.toSorted((a, b) => a - b),
          );
        }
      });
    }

    it('deliver() brings a file of 300 MiB whole', { timeout: 120_000 }, async () => {
      const unit = patternBytes(MIB);
      const size = 300 * MIB + 4099;
      const expected = createHash('sha256');
      for (let at = 0; at < size; at += MIB) expected.update(unit.subarray(0, size - at));
      const payload = createReadSource(unit, {
        expectedBytes: size,
        read: async (buffer, offset) => {
          const from = offset % MIB;
          return unit.copy(buffer, 0, from, Math.min(MIB, from + Math.min(buffer.length, size - offset)));
        },
        committed: Promise.resolve(size),
      });
      const path = `${scene.home}/large`;
      const outcome = await deliver({ path, payload });
      assert.equal(outcome.kind, 'delivered', JSON.stringify(outcome));
      const actual = createHash('sha256');
      for await (const chunk of fs.createReadStream(host(path), { highWaterMark: MIB })) actual.update(chunk);
      assert.equal(actual.digest('hex'), expected.digest('hex'));
      fs.rmSync(host(path));
    });

    it('deliver() gives setuid, setgid and sticky where they are kept, and else delivers without', async () => {
      const path = `${scene.home}/special`;
      assert.equal((await deliver({ path, mode: 0o6751, uid: 0, gid: 0 })).kind, 'delivered');
      const { mode } = await look(path);
      assert.equal((mode & 0o777).toString(8), '751');
      if (scene.world.keepsSpecialBits) assert.equal(mode.toString(8), '6751');
    });

    it('deliver() puts a file into a directory, with and without a final slash', async () => {
      for (const path of [`${scene.home}/`, scene.home]) {
        const outcome = await deliver({ path, sourceName: 'its name', payload: text(path) });
        assert.deepEqual(outcome, { kind: 'delivered', path: `${scene.home}/its name` });
        assert.equal(read(`${scene.home}/its name`).toString(), path);
      }
    });

    it('deliver() refuses a directory in the place of the file', async () => {
      fs.mkdirSync(host(`${scene.home}/taken/name`), { recursive: true });
      for (const [path, sourceName] of [
        [`${scene.home}/taken`, ''],
        [`${scene.home}/taken/`, ''],
        [`${scene.home}/taken`, 'name'],
        [`${scene.home}/taken/`, 'name'],
      ] as const) {
        assertFailed(await deliver({ path, sourceName }), 'permanent', 'destination_is_directory');
      }
    });

    it('deliver() makes missing parents 0755 with the owner of the file', async () => {
      for (const path of [`${scene.home}/a/b/c/file`, `${scene.home}/d/e/`]) {
        const outcome = await deliver({ path, sourceName: 'file', uid: 1000, gid: 1001 });
        assert.equal(outcome.kind, 'delivered', JSON.stringify(outcome));
      }
      for (const path of ['a', 'a/b', 'a/b/c', 'd', 'd/e']) {
        const { mode, uid, gid } = await look(`${scene.home}/${path}`);
        assert.equal(mode.toString(8), '755', path);
        if (scene.world.keepsOwner) assert.deepEqual([uid, gid], [1000, 1001], path);
      }
    });

    it('deliver() lets many make the same parents at once', async () => {
      const paths = Array.from({ length: 20 }, (_, at) => `${scene.home}/same/parents/file ${at}`);
      const outcomes = await Promise.all(paths.map((path) => deliver({ path, payload: text(path) })));
      for (const outcome of outcomes) assert.equal(outcome.kind, 'delivered', JSON.stringify(outcome));
      for (const path of paths) assert.equal(read(path).toString(), path);
    });

    it('deliver() refuses missing parents that it may not make, and parents that are no directories', async () => {
      const missing = await deliver({ path: `${scene.home}/none/file`, createDirs: false });
      assertFailed(missing, 'permanent', 'parent_missing');
      assert.ok(!fs.existsSync(host(`${scene.home}/none`)));
      fs.writeFileSync(host(`${scene.home}/plain`), '');
      for (const createDirs of [true, false]) {
        for (const path of [
          `${scene.home}/plain/file`,
          `${scene.home}/plain/deep/file`,
          `${scene.home}/plain/`,
        ]) {
          assertFailed(await deliver({ path, sourceName: 'x', createDirs }), 'permanent', 'parent_missing');
        }
      }
    });

    it('deliver() takes names as they are', async () => {
      const names = [
        'two words',
        `'single' "double" \`back\``,
        'line\nbreak',
        '100%41%00',
        '-rf',
        '日本語 🎉 é',
        'back\\slash',
        '$(id);&|<>*?',
        'n'.repeat(255),
        'é'.repeat(127),
      ];
      for (const name of names) {
        const payload = text(name);
        const asPath = await deliver({ path: `${scene.home}/${name}`, payload });
        assert.deepEqual(asPath, { kind: 'delivered', path: `${scene.home}/${name}` });
        const asSource = await deliver({
          path: `${scene.home}/in ${name.slice(0, 9)}/`,
          sourceName: name,
          payload,
        });
        assert.equal(asSource.kind, 'delivered', JSON.stringify(asSource));
        assert.equal(read(`${scene.home}/${name}`).toString(), name);
        assert.equal(read(`${scene.home}/in ${name.slice(0, 9)}/${name}`).toString(), name);
      }
      assert.deepEqual(
        new Set(fs.readdirSync(host(scene.home)).filter((name) => !name.startsWith('in '))),
        new Set(names),
      );
    });

    it('deliver() refuses names that are too long', async () => {
      for (const name of ['n'.repeat(256), `${'é'.repeat(128)}`]) {
        assertFailed(await deliver({ path: `${scene.home}/${name}` }), 'permanent', 'name_too_long');
        assertFailed(await deliver({ path: `${scene.home}/${name}/file` }), 'permanent', 'name_too_long');
      }
    });

    it('deliver() says which is missing, the instance or the project', async () => {
      assertFailed(await deliver({ instance: 'no-such' }), 'permanent', 'instance_not_found');
      assertFailed(await deliver({ project: 'no-such' }), 'permanent', 'project_not_found');
    });

    it('deliver() works for many at once', { timeout: 60_000 }, async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 300 }, (_, at) =>
          deliver({
            path: `${scene.home}/many/${at}`,
            payload: createInlineSource(patternBytes(4096, at + 1)),
          }),
        ),
      );
      assert.ok(outcomes.every(({ kind }) => kind === 'delivered'));
      for (let at = 0; at < 300; at += 1) {
        assert.ok(read(`${scene.home}/many/${at}`).equals(patternBytes(4096, at + 1)), `file ${at}`);
      }
    });

    it('probe() and instances() tell what is there', async () => {
      const { target, project, instance } = scene.world;
      assert.deepEqual(await target.probe(5000), { reachable: true });
      for (const asked of [project, undefined]) {
        const found = await target.instances(asked);
        assert.ok(found.some((one) => one.instance === instance && one.project === project));
      }
      assert.deepEqual(await target.instances('no-such'), []);
    });

    addPlacementTests(scene);
    addTreeTests(scene);
  });
}
