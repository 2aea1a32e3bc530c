/**
 * Who may import what. The rooms of src form layers, and each package of npm has the rooms it belongs to; what is not
 * in these tables is forbidden, for the reason given here.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MAX_LINES = 300;

type Room = {
  /** Rooms it may import from, besides itself and errors.ts. */
  readonly rooms: readonly string[];
  readonly packages: readonly string[];
  /** Why not from others. */
  readonly reason: string;
};

const ROOMS: Readonly<Record<string, Room>> = {
  errors: { rooms: [], packages: [], reason: 'everything imports it, so it imports nothing' },
  base: { rooms: [], packages: [], reason: 'it must be usable anywhere, without any package' },
  protocol: {
    rooms: ['base'],
    packages: ['zod'],
    reason: 'both programs speak it, so it knows neither of them, does no I/O and needs the validator alone',
  },
  spool: {
    rooms: ['base', 'protocol'],
    packages: ['lmdb', 'zod'],
    reason: 'it keeps what it is given and must not know who uses it',
  },
  delivery: {
    rooms: ['base', 'protocol'],
    packages: ['undici', 'yaml'],
    reason: 'it is handed bytes: a target that knew spool or queue could not be tried alone',
  },
  queue: {
    rooms: ['base', 'protocol', 'spool', 'delivery'],
    packages: ['fastq'],
    reason: 'it decides when to deliver; it must not know who asks',
  },
  http: {
    rooms: ['base', 'protocol', 'spool', 'queue'],
    packages: ['prom-client'],
    reason: 'it answers requests; it never delivers and never schedules by itself',
  },
  daemon: {
    rooms: ['base', 'protocol', 'spool', 'delivery', 'queue', 'http'],
    packages: ['commander', 'pino', 'yaml', 'zod'],
    reason: 'it joins the rooms of the daemon; the other program is none of its business',
  },
  client: {
    rooms: ['base', 'protocol'],
    packages: ['undici', 'yaml', 'fzstd', 'ignore'],
    reason: 'it knows the daemon by its protocol only',
  },
  cli: {
    rooms: ['base', 'protocol', 'client'],
    packages: ['commander', 'chalk', 'ora'],
    reason: 'the client is its only door to the daemon',
  },
};

/** Packages that even within their room belong to some files only. */
const PACKAGE_FILES: Readonly<Record<string, { readonly file: RegExp; readonly reason: string }>> = {
  chalk: { file: /^src\/cli\/printer/, reason: 'how things look is decided in one place' },
  ora: { file: /^src\/cli\/printer/, reason: 'how things look is decided in one place' },
  fzstd: { file: /^src\/client\/decompress/, reason: 'most uploads must not load it' },
  ignore: { file: /^src\/client\/path-filter/, reason: 'most uploads must not load it' },
  undici: {
    file: /^src\/(?:client|delivery\/incus)\//,
    reason: 'in delivery only Incus is spoken to over the network',
  },
  yaml: {
    file: /^src\/(?:client|daemon)\/|^src\/delivery\/incus\/locate-/,
    reason: "in delivery only the remotes of Incus's own client are YAML",
  },
};

/** Values do not cross here, types may: delivery comes into the queue as a function. */
const TYPES_ONLY: Readonly<Record<string, readonly string[]>> = { queue: ['delivery'] };

/** The modules of Node that neither do I/O nor read a clock; `protocol` uses no others. */
const PURE_MODULES = new Set(['node:buffer', 'node:crypto']);

type Import = { readonly from: string; readonly typeOnly: boolean };

function filesUnder(folder: string, ending: RegExp): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && ending.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
}

function importsOf(source: string): Import[] {
  const text = withoutComments(source);
  const statements = text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'";]*?\s+from\s+)?'([^']+)'/gm);
  const dynamic = text.matchAll(/\bimport\(\s*'([^']+)'/g);
  return [
    ...Array.from(statements, ([, type, from = '']) => ({ from, typeOnly: type !== undefined })),
    ...Array.from(dynamic, ([, from = '']) => ({ from, typeOnly: false })),
  ];
}

/** `src/http/upload.ts` → `http`; `src/errors.ts` → `errors`. */
function roomOf(file: string): string {
  return (file.split('/')[1] ?? '').replace(/\.ts$/, '');
}

/** `@scope/name/deep` → `@scope/name`. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** What is wrong with an import of a file, or undefined. */
function importProblem(file: string, { from, typeOnly }: Import): string | undefined {
  const name = roomOf(file);
  const room = ROOMS[name];
  if (room === undefined) return `${file}: src/${name} is no room of the table`;
  const because = `${file} imports ${from}: ${room.reason}`;
  if (from.startsWith('.')) {
    if (!from.endsWith('.ts')) return `${file} imports ${from}: imports name the .ts file`;
    const target = roomOf(new URL(from, `file:///${file}`).pathname.slice(1));
    if (target === name || target === 'errors') return undefined;
    if (!room.rooms.includes(target)) return because;
    if (!typeOnly && TYPES_ONLY[name]?.includes(target))
      return `${file} imports ${from}: only types may cross here`;
    return undefined;
  }
  if (from.startsWith('node:')) {
    return name === 'protocol' && !PURE_MODULES.has(from) ? because : undefined;
  }
  const packageName = packageOf(from);
  if (!room.packages.includes(packageName)) return because;
  const files = PACKAGE_FILES[packageName];
  return files === undefined || files.file.test(file)
    ? undefined
    : `${file} imports ${from}: ${files.reason}`;
}

const SOURCES = filesUnder('src', /\.ts$/).map((file) => ({
  file,
  text: readFileSync(join(ROOT, file), 'utf8'),
}));

for (const room of Object.keys(ROOMS)) {
  test(`src/${room} imports only what it may`, () => {
    const problems = SOURCES.filter(({ file }) => roomOf(file) === room).flatMap(({ file, text }) =>
      importsOf(text).map((found) => importProblem(file, found)),
    );
    assert.deepEqual(
      problems.filter((problem) => problem !== undefined),
      [],
    );
  });
}

test('every folder of src is a room', () => {
  const rooms = new Set(SOURCES.map(({ file }) => roomOf(file)));
  assert.deepEqual(
    [...rooms].filter((room) => ROOMS[room] === undefined),
    [],
  );
});

test('no file is a barrel or has a default export', () => {
  const offenders = SOURCES.filter(({ text }) =>
    /^export\s+(?:\*|(?:type\s+)?\{[^}]*\}\s+from\b|default\b)/m.test(withoutComments(text)),
  );
  assert.deepEqual(
    offenders.map(({ file }) => file),
    [],
  );
});

test(`no file is longer than ${MAX_LINES} lines`, () => {
  const files = [
    ...filesUnder('src', /\.ts$/),
    ...filesUnder('test', /\.ts$/),
    ...filesUnder('scripts', /\.js$/),
  ];
  const lengths = files.map(
    (file) => [file, readFileSync(join(ROOT, file), 'utf8').split('\n').length - 1] as const,
  );
  assert.deepEqual(
    lengths.filter(([, lines]) => lines > MAX_LINES),
    [],
  );
});

test('every package that is imported is a dependency, and every dependency is imported', () => {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const used = SOURCES.flatMap(({ text }) => importsOf(text))
    .map(({ from }) => from)
    .filter((from) => !from.startsWith('.') && !from.startsWith('node:'))
    .map(packageOf);
  assert.deepEqual([...new Set(used)].sort(), Object.keys(dependencies).sort());
});

test('importProblem() finds what the table forbids', () => {
  const forbidden: [string, string][] = [
    ['src/base/size.ts', 'zod'],
    ['src/protocol/job.ts', 'node:fs'],
    ['src/protocol/job.ts', '../spool/spool.ts'],
    ['src/delivery/directory.ts', '../queue/queue.ts'],
    ['src/delivery/incus/deliver.ts', '../../spool/spool.ts'],
    ['src/http/upload.ts', '../delivery/target.ts'],
    ['src/cli/push.ts', '../daemon/config.ts'],
    ['src/cli/push.ts', 'chalk'],
    ['src/queue/queue.ts', '../delivery/target.ts'],
    ['src/queue/queue.ts', './lane.js'],
    ['src/utils/x.ts', 'zod'],
  ];
  for (const [file, from] of forbidden)
    assert.ok(importProblem(file, { from, typeOnly: false }), `${file} ${from}`);
  assert.equal(
    importProblem('src/queue/queue.ts', { from: '../delivery/target.ts', typeOnly: true }),
    undefined,
  );
  assert.equal(importProblem('src/cli/printer-color.ts', { from: 'chalk', typeOnly: false }), undefined);
});

test('importsOf() finds every form of import', () => {
  const source = [
    "import a from 'a';",
    "import type { B } from 'b';",
    "import {\n  c,\n  d,\n} from 'c';",
    "import 'side-effect';",
    "export { e } from 'e';",
    "const f = await import('f');",
    "// import g from 'g';",
    "/* import h from 'h'; */",
  ].join('\n');
  assert.deepEqual(
    importsOf(source).map(({ from, typeOnly }) => (typeOnly ? `type ${from}` : from)),
    ['a', 'type b', 'c', 'side-effect', 'e', 'f'],
  );
});
