/** The part of the contract of targets that says how an archive is unpacked. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { readFile } from 'node:fs/promises';
import { it } from 'node:test';
import type { Outcome, TreeDelivery } from '../../src/delivery/target.ts';
import { assertFailed, type ContractScene, temporariesBelow } from './contract-world.ts';
import { createGate, createReadSource, patternBytes } from './delivery-builder.ts';
import { type ArchiveEntry, createArchive, createTreeDelivery } from './tree-builder.ts';

const KIB = 1024;

/** Adds these tests to the suite that is being described. */
export function addTreeTests(scene: ContractScene): void {
  const { host, look, read } = scene;
  const unpack = (
    entries: readonly ArchiveEntry[],
    path: string,
    changes: Partial<TreeDelivery> = {},
  ): Promise<Outcome> => {
    const { target, project, instance } = scene.world;
    const payload = createReadSource(createArchive(entries));
    return target.unpack(
      createTreeDelivery(Buffer.alloc(0), { project, instance, path, payload, ...changes }),
    );
  };
  const assertNothingLeft = () => assert.deepEqual(temporariesBelow(host(scene.home)), []);

  it('unpack() makes files, directories and links with their modes, and says how far it is', async () => {
    const large = patternBytes(700 * KIB, 5);
    const seen: string[] = [];
    const bytes: number[] = [];
    const outcome = await unpack(
      [
        { name: 'site/', mode: 0o750 },
        { name: 'site/index.html', content: '<h1>', mode: 0o640 },
        { name: 'site/empty', mode: 0o600 },
        { name: 'site/void/', mode: 0o1777 },
        { name: 'site/locked/', mode: 0o555 },
        { name: 'site/locked/in', content: 'inside', mode: 0o444 },
        { name: 'site/large', content: large },
        { name: 'site/edge', content: patternBytes(128 * KIB) },
        { name: 'site/over', content: patternBytes(128 * KIB + 1) },
        { name: 'site/current', link: 'locked/in' },
        { name: 'site/nowhere', link: '/no/such/name' },
        { name: 'site/again', hardLink: 'site/large' },
        { name: 'implied/deep/file', content: 'x' },
        { name: `site/日本語 🎉\n"'$(id)`, content: 'odd' },
        { name: `${'long/'.repeat(30)}${'n'.repeat(255)}`, content: 'far' },
      ],
      `${scene.home}/new/place`,
      {
        uid: 1000,
        gid: 1001,
        onFile: (path, placed) => {
          assert.ok(placed);
          seen.push(path);
        },
        onProgress: (done) => bytes.push(done),
      },
    );
    const at = `${scene.home}/new/place`;
    assert.deepEqual(outcome, { kind: 'delivered', path: at });
    assert.equal(read(`${at}/site/index.html`).toString(), '<h1>');
    assert.ok(read(`${at}/site/large`).equals(large));
    assert.ok(read(`${at}/site/again`).equals(large));
    assert.ok(read(`${at}/site/edge`).equals(patternBytes(128 * KIB)));
    assert.ok(read(`${at}/site/over`).equals(patternBytes(128 * KIB + 1)));
    assert.equal(read(`${at}/site/locked/in`).toString(), 'inside');
    assert.equal(read(`${at}/site/日本語 🎉\n"'$(id)`).toString(), 'odd');
    assert.equal(read(`${at}/${'long/'.repeat(30)}${'n'.repeat(255)}`).toString(), 'far');
    assert.equal(fs.readlinkSync(host(`${at}/site/current`)), 'locked/in');
    assert.equal(fs.readlinkSync(host(`${at}/site/nowhere`)), '/no/such/name');
    for (const [name, mode] of [
      ['', '755'],
      ['/site', '750'],
      ['/site/void', '1777'],
      ['/site/locked', '555'],
      ['/site/locked/in', '444'],
      ['/site/index.html', '640'],
      ['/site/empty', '600'],
      ['/implied/deep', '755'],
    ] as const) {
      const found = await look(at + name);
      const kept = scene.world.keepsSpecialBits ? found.mode : found.mode & 0o777;
      const wanted = scene.world.keepsSpecialBits ? mode : mode.slice(-3);
      assert.equal(kept.toString(8), wanted, name);
      if (scene.world.keepsOwner) assert.deepEqual([found.uid, found.gid], [1000, 1001], name);
    }
    assert.equal(seen.length, 12);
    assert.equal(new Set(seen).size, 12);
    assert.ok(seen.includes(`${at}/site/index.html`));
    assert.deepEqual(
      bytes,
      bytes.toSorted((a, b) => a - b),
    );
    assertNothingLeft();
  });

  it('unpack() brings many small files whole, again over themselves too', { timeout: 120_000 }, async () => {
    for (const seed of [1, 1001]) {
      const entries = Array.from({ length: 1500 }, (_, at) => ({
        name: `many/d${at % 30}/f${at}`,
        content: patternBytes(at * 7, at + seed),
      }));
      const outcome = await unpack([{ name: 'many/', mode: 0o555 }, ...entries], `${scene.home}/`);
      assert.deepEqual(outcome, { kind: 'delivered', path: scene.home });
      for (const { name, content } of entries) assert.ok(read(`${scene.home}/${name}`).equals(content), name);
      assertNothingLeft();
    }
  });

  it('unpack() replaces files and links, merges directories and follows links to such', async () => {
    fs.mkdirSync(host(`${scene.home}/real/kept`), { recursive: true });
    fs.writeFileSync(host(`${scene.home}/old`), 'old');
    fs.writeFileSync(host(`${scene.home}/precious`), 'precious');
    fs.symlinkSync('precious', host(`${scene.home}/link`));
    fs.symlinkSync('real', host(`${scene.home}/to-real`));
    fs.writeFileSync(host(`${scene.home}/becomes-link`), 'x');
    const outcome = await unpack(
      [
        { name: 'old', content: 'new' },
        { name: 'link', content: 'no link' },
        { name: 'to-real/', mode: 0o700 },
        { name: 'to-real/file', content: 'followed' },
        { name: 'becomes-link', link: 'old' },
      ],
      scene.home,
    );
    assert.deepEqual(outcome, { kind: 'delivered', path: scene.home });
    assert.equal(read(`${scene.home}/old`).toString(), 'new');
    assert.equal(read(`${scene.home}/link`).toString(), 'no link');
    assert.equal(read(`${scene.home}/precious`).toString(), 'precious');
    assert.deepEqual(fs.readdirSync(host(`${scene.home}/real`)).sort(), ['file', 'kept']);
    assert.ok(fs.lstatSync(host(`${scene.home}/to-real`)).isSymbolicLink());
    assert.equal((await look(`${scene.home}/real`)).mode.toString(8), '700');
    assert.equal(fs.readlinkSync(host(`${scene.home}/becomes-link`)), 'old');
    assertNothingLeft();
  });

  it('unpack() takes the later of two entries of one name, and an empty archive', async () => {
    const entries = Array.from({ length: 40 }, (_, at) => ({ name: 'same', content: `${at}` }));
    assert.equal((await unpack(entries, scene.home)).kind, 'delivered');
    assert.equal(read(`${scene.home}/same`).toString(), '39');
    assert.equal((await unpack([], `${scene.home}/empty`)).kind, 'delivered');
    assert.deepEqual(fs.readdirSync(host(`${scene.home}/empty`)), []);
  });

  it('unpack() leaves the directory that it unpacks into as it is', async () => {
    fs.chmodSync(host(scene.home), 0o711);
    assert.equal(
      (await unpack([{ name: './', mode: 0o700 }, { name: './a' }], scene.home)).kind,
      'delivered',
    );
    assert.equal((await look(scene.home)).mode.toString(8), '711');
  });

  it('unpack() refuses to put a file over a directory or a pipe, or a directory over a file, naming it', async () => {
    fs.mkdirSync(host(`${scene.home}/taken/inside`), { recursive: true });
    fs.writeFileSync(host(`${scene.home}/plain`), 'x');
    execFileSync('mkfifo', [host(`${scene.home}/pipe`)]);
    const cases: [ArchiveEntry, string, RegExp][] = [
      [{ name: 'taken/inside', content: 'x' }, 'destination_is_directory', /\/taken\/inside is a directory/],
      [{ name: 'taken', link: 'x' }, 'destination_is_directory', /\/taken is a directory/],
      [{ name: 'pipe', content: 'x' }, 'permission_denied', /\/pipe is a device/],
      [{ name: 'plain/' }, 'parent_missing', /\/plain is not a directory/],
      [{ name: 'plain/in', content: 'x' }, 'parent_missing', /\/plain is not a directory/],
    ];
    for (const [entry, code, message] of cases) {
      const outcome = await unpack([entry], scene.home);
      assertFailed(outcome, 'permanent', code);
      assert.ok(outcome.kind !== 'delivered' && message.test(outcome.error.message), JSON.stringify(outcome));
      assertNothingLeft();
    }
    assert.ok(fs.lstatSync(host(`${scene.home}/pipe`)).isFIFO());
    assert.equal(read(`${scene.home}/plain`).toString(), 'x');
  });

  it('unpack() refuses a destination that is a file, or missing and not to be made', async () => {
    fs.writeFileSync(host(`${scene.home}/file`), 'x');
    for (const path of [`${scene.home}/file`, `${scene.home}/file/`, `${scene.home}/file/below`]) {
      assertFailed(await unpack([{ name: 'a' }], path), 'permanent', 'parent_missing');
    }
    const missing = await unpack([{ name: 'a' }], `${scene.home}/none/`, { createDirs: false });
    assertFailed(missing, 'permanent', 'parent_missing');
    assert.deepEqual(fs.readdirSync(host(scene.home)), ['file']);
    assertFailed(await unpack([], '/opt', { instance: 'no-such' }), 'permanent', 'instance_not_found');
  });

  it('unpack() writes nothing of what is not safe, and of a payload that is not whole says so', async () => {
    const unsafe: readonly ArchiveEntry[][] = [
      [{ name: '../out', content: 'x' }],
      [{ name: '/etc/out', content: 'x' }],
      [{ name: 'dev', type: '3' }],
      [
        { name: 'up', link: '..' },
        { name: 'up/out', content: 'x' },
      ],
    ];
    for (const entries of unsafe) {
      assertFailed(await unpack(entries, `${scene.home}/in`), 'permanent', 'unsafe_archive');
    }
    assert.ok(!fs.existsSync(host(`${scene.home}/out`)));
    const cut = createArchive([{ name: 'a', content: patternBytes(300 * KIB) }]).subarray(0, 200 * KIB);
    const outcome = await unpack([], `${scene.home}/in`, { payload: createReadSource(cut) });
    assertFailed(outcome, 'permanent', 'payload_lost');
    assertNothingLeft();
  });

  it('unpack() leaves alone what a later delivery has written', async () => {
    fs.writeFileSync(host(`${scene.home}/later`), 'later');
    const done: [string, boolean][] = [];
    const outcome = await unpack(
      [
        { name: 'later', content: 'earlier' },
        { name: 'other', content: 'other' },
      ],
      scene.home,
      {
        isOvertaken: (path) => path === `${scene.home}/later`,
        onFile: (path, placed) => done.push([path, placed]),
      },
    );
    assert.equal(outcome.kind, 'delivered');
    assert.equal(read(`${scene.home}/later`).toString(), 'later');
    assert.equal(read(`${scene.home}/other`).toString(), 'other');
    assert.deepEqual(Object.fromEntries(done), {
      [`${scene.home}/later`]: false,
      [`${scene.home}/other`]: true,
    });
    assertNothingLeft();
  });

  it('unpack() shows readers of a file the old one or the new one', async () => {
    const path = `${scene.home}/read`;
    const old = Buffer.alloc(200 * KIB, 'o');
    fs.writeFileSync(host(path), old);
    const fresh = Buffer.alloc(300 * KIB, 'n');
    let done = false;
    const reader = (async () => {
      while (!done) {
        const bytes = await readFile(host(path));
        assert.ok(bytes.equals(old) || bytes.equals(fresh), `a part of ${bytes.length} bytes was seen`);
      }
    })();
    const outcome = await unpack([{ name: 'read', content: fresh }], scene.home);
    done = true;
    await reader;
    assert.equal(outcome.kind, 'delivered');
    assert.ok(read(path).equals(fresh));
  });

  it('unpack() announces its staging directory, stops when told to, and leaves none', async () => {
    const stopped = await unpack([{ name: 'a' }], scene.home, { signal: AbortSignal.abort() });
    assertFailed(stopped, 'transient', 'cancelled');
    const controller = new AbortController();
    const announced: string[] = [];
    const reading = createGate();
    const archive = createArchive([
      { name: 'first', content: 'x' },
      { name: 'second', content: patternBytes(3 * 1024 * KIB) },
    ]);
    const unpacking = unpack([], scene.home, {
      signal: controller.signal,
      temporaryName: '.test-temporary-announced',
      onTemporary: async (path) => {
        announced.push(path);
        assert.ok(!fs.existsSync(host(path)));
      },
      payload: createReadSource(archive, {
        read: (buffer, offset) => {
          if (offset < 2 * 1024 * KIB) return Promise.resolve(archive.copy(buffer, 0, offset));
          reading.open();
          return new Promise(() => {});
        },
      }),
    });
    await reading.promise;
    assert.ok(fs.existsSync(host(announced[0] ?? '')));
    controller.abort();
    assertFailed(await unpacking, 'transient', 'cancelled');
    assert.deepEqual(announced, [`${scene.home}/.test-temporary-announced`]);
    assertNothingLeft();
  });
}
