import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { CodedError } from '../../src/errors.ts';
import { type TarEntry, TarParser } from '../../src/protocol/tar-parser.ts';
import { Tree, type TreeEntry } from '../../src/protocol/tree.ts';

const directory = mkdtempSync(join(tmpdir(), 'tar-parser-'));
after(() => rmSync(directory, { recursive: true, force: true }));

const LONG = 'n'.repeat(255);

/** A tree as programs archive it. */
function makeTree(): string {
  const root = join(directory, 'tree');
  rmSync(root, { recursive: true, force: true });
  mkdirSync(join(root, 'empty'), { recursive: true });
  mkdirSync(join(root, 'd'.repeat(200), LONG), { recursive: true });
  writeFileSync(join(root, 'd'.repeat(200), LONG, 'deep'), 'deep');
  writeFileSync(join(root, LONG), 'x'.repeat(5000), { mode: 0o755 });
  writeFileSync(join(root, 'größe 漢字'), '');
  symlinkSync(`../${'t'.repeat(180)}`, join(root, 'link'));
  linkSync(join(root, LONG), join(root, 'zz-hard'));
  return root;
}

function read(archive: Buffer, cuts: (offset: number) => number = () => archive.length): TarEntry[] {
  const entries: TarEntry[] = [];
  const parser = new TarParser((entry) => entries.push(entry));
  for (let at = 0; at < archive.length; ) {
    const next = Math.min(archive.length, at + Math.max(1, cuts(at)));
    parser.push(archive.subarray(at, next));
    at = next;
  }
  parser.end();
  return entries;
}

function readTree(archive: Buffer): TreeEntry[] {
  const tree = new Tree();
  return read(archive).map((entry) => tree.add(entry));
}

type Head = { name: string; type?: string; size?: number; target?: string; mode?: number };

function block({ name, type = '0', size = 0, target = '', mode = 0o644 }: Head): Buffer {
  const bytes = Buffer.alloc(512);
  bytes.write(name, 0, 100);
  bytes.write(`${mode.toString(8).padStart(7, '0')}\0`, 100);
  bytes.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  bytes.write(type, 156);
  bytes.write(target, 157, 100);
  bytes.write('ustar\x0000', 257);
  bytes.fill(0x20, 148, 156);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return bytes;
}

const archiveOf = (...heads: Head[]) => Buffer.concat([...heads.map(block), Buffer.alloc(1024)]);
const isBad = (error: unknown) => error instanceof CodedError && error.code === 'bad_request';

for (const format of ['gnu', 'pax', 'oldgnu']) {
  test(`TarParser reads what tar --format=${format} writes, with contents where it says`, () => {
    const root = makeTree();
    const args = ['--create', `--format=${format}`, '--sort=name', '--directory', root, '.'];
    const archive = execFileSync('tar', args, { maxBuffer: 1 << 24 });
    const entries = new Map(readTree(archive).map((entry) => [entry.name, entry]));
    assert.deepEqual(
      [...entries.keys()].sort(),
      [
        '',
        'd'.repeat(200),
        `${'d'.repeat(200)}/${LONG}`,
        `${'d'.repeat(200)}/${LONG}/deep`,
        'empty',
        'größe 漢字',
        'link',
        LONG,
        'zz-hard',
      ].sort(),
    );
    const contentOf = (name: string) => {
      const entry = entries.get(name);
      assert.ok(entry?.kind === 'file');
      return archive.toString('utf8', entry.offset, entry.offset + entry.sizeBytes);
    };
    assert.equal(contentOf(`${'d'.repeat(200)}/${LONG}/deep`), 'deep');
    assert.equal(contentOf(LONG), 'x'.repeat(5000));
    assert.equal(contentOf('zz-hard'), 'x'.repeat(5000));
    assert.equal(contentOf('größe 漢字'), '');
    assert.deepEqual(entries.get('link'), { kind: 'symlink', name: 'link', target: `../${'t'.repeat(180)}` });
    assert.equal(entries.get('empty')?.kind, 'directory');
  });
}

test('TarParser reads the same however the archive is cut', () => {
  const archive = execFileSync('tar', ['--create', '--format=pax', '--directory', makeTree(), '.'], {
    maxBuffer: 1 << 24,
  });
  const whole = read(archive);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 1500 }), { minLength: 1 }), (sizes) => {
      let turn = 0;
      assert.deepEqual(
        read(archive, () => sizes[turn++ % sizes.length] ?? 1),
        whole,
      );
    }),
    { numRuns: 50 },
  );
});

test('TarParser refuses every archive that is cut short', () => {
  const body = Buffer.concat([block({ name: 'a', size: 600 }), Buffer.alloc(1024, 1), Buffer.alloc(1024)]);
  assert.equal(read(body).length, 1);
  for (let end = 0; end < body.length - 512; end += 1)
    assert.throws(() => read(body.subarray(0, end)), isBad, `cut at ${end}`);
});

test('TarParser and Tree meet any bytes with an error that has a code, or none', () => {
  const archive = execFileSync('tar', ['--create', '--format=pax', '--directory', makeTree(), '.'], {
    maxBuffer: 1 << 24,
  });
  const change = fc.tuple(fc.nat(archive.length - 1), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 8 }), fc.nat(archive.length), (changes, end) => {
      const bytes = Buffer.from(archive);
      for (const [at, value] of changes) bytes[at] = value;
      try {
        for (const { name } of readTree(bytes.subarray(0, end)))
          assert.ok(!name.startsWith('/') && !name.split('/').includes('..'));
      } catch (error) {
        assert.ok(error instanceof CodedError, String(error));
        assert.ok(error.code === 'bad_request' || error.code === 'unsafe_archive');
      }
    }),
    { numRuns: 500 },
  );
});

test('TarParser refuses a wrong checksum, a number that is none and what follows the end', () => {
  const wrong = archiveOf({ name: 'a' });
  wrong[0] = 0x62;
  assert.throws(() => read(wrong), isBad);
  assert.throws(() => read(Buffer.alloc(0)), isBad);
  assert.throws(() => read(Buffer.from('no archive at all'.repeat(100))), isBad);
  assert.throws(() => read(Buffer.concat([archiveOf({ name: 'a' }), block({ name: 'b' })])), isBad);
});

const hostile: [string, Head[]][] = [
  ['an absolute name', [{ name: '/etc/passwd' }]],
  ['a way up', [{ name: 'a/../../b' }]],
  ['only a way up', [{ name: '..', type: '5' }]],
  ['a character device', [{ name: 'null', type: '3' }]],
  ['a block device', [{ name: 'sda', type: '4' }]],
  ['a pipe', [{ name: 'pipe', type: '6' }]],
  ['a hard link out of the tree', [{ name: 'a', type: '1', target: '../b' }]],
  ['an absolute hard link', [{ name: 'a', type: '1', target: '/etc/shadow' }]],
  ['a hard link to nothing', [{ name: 'a', type: '1', target: 'b' }]],
  [
    'a hard link to a link',
    [
      { name: 'b', type: '2', target: 'c' },
      { name: 'a', type: '1', target: 'b' },
    ],
  ],
  ['a way through a link', [{ name: 'a', type: '2', target: '/etc' }, { name: 'a/passwd' }]],
  ['a way through a file', [{ name: 'a' }, { name: 'a/b' }]],
  ['a directory that is a link too', [{ name: 'a/b' }, { name: 'a', type: '2', target: '/etc' }]],
  ['a name twice', [{ name: 'a' }, { name: 'a', type: '5' }]],
  ['a file without a name', [{ name: './', type: '2', target: 'x' }]],
  ['a link to nowhere', [{ name: 'a', type: '2', target: '' }]],
];

for (const [what, heads] of hostile) {
  test(`Tree refuses ${what}`, () => {
    assert.throws(
      () => readTree(archiveOf(...heads)),
      (error) => error instanceof CodedError && error.code === 'unsafe_archive',
    );
  });
}

test('Tree keeps links that lead anywhere, as data, and counts files and links', () => {
  const tree = new Tree();
  const heads: Head[] = [
    { name: 'd/', type: '5', mode: 0o700 },
    { name: 'd/a', type: '2', target: '/etc/passwd' },
    { name: 'd/b', type: '2', target: '../../..' },
    { name: './d//c', mode: 0o4755 },
    { name: 'd/e', type: '1', target: './d/c' },
  ];
  const entries = read(archiveOf(...heads)).map((entry) => tree.add(entry));
  assert.deepEqual(
    entries.map(({ name }) => name),
    ['d', 'd/a', 'd/b', 'd/c', 'd/e'],
  );
  assert.equal(tree.files, 4);
  assert.equal(entries[4]?.kind === 'file' && entries[4].mode, 0o4755);
});

test('Tree refuses a name that lies too deep', () => {
  const name = Buffer.from(`${'a/'.repeat(256)}a`);
  const entry: TarEntry = {
    kind: 'file',
    name,
    target: Buffer.alloc(0),
    mode: 0o644,
    sizeBytes: 0,
    offset: 512,
  };
  assert.throws(() => new Tree().add(entry), { code: 'unsafe_archive', message: /lies too deep/ });
});
