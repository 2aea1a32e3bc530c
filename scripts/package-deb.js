/**
 * npm run package:deb [-- --out DIR] [--no-build]: build/incus-upload_VERSION_ARCH.deb from dist/, by dpkg-deb alone.
 *
 *   /usr/lib/incus-upload        dist/ with bin/ and the packages it needs at run time
 *   /usr/bin                     links to its launchers
 *   /usr/lib/systemd/system      the units
 *   /etc/incus-upload            the config file, every line a comment
 *   /usr/share                   manual pages, completions, licences
 *
 * The version is that of package.json. Every file has the time of SOURCE_DATE_EPOCH, else of the last commit: the same
 * dist/ and packages give the same file (V8 compiles the client's caches anew in each build).
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build, ensureInstalled, root } from './prepare.js';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: join(root, 'build') },
    // Takes dist/ as it is.
    'no-build': { type: 'boolean', default: false },
  },
});

/** Node's names of what Debian calls amd64 and arm64; lmdb has its binaries for these. */
const ARCHITECTURES = { x64: 'amd64', arm64: 'arm64', arm: 'armhf' };
const PROGRAM = 'usr/lib/incus-upload';
const DOCUMENTATION = 'usr/share/doc/incus-upload';
const RUNTIME_FILES = new Set(['.js', '.cjs', '.mjs', '.json', '.node']);
const NOT_AT_RUN_TIME = new Set(['test', 'tests', 'docs', 'benchmark', 'benchmarks', 'example', 'examples']);
const COMPLETIONS = {
  bash: 'usr/share/bash-completion/completions/incus-upload',
  zsh: 'usr/share/zsh/vendor-completions/_incus-upload',
  fish: 'usr/share/fish/vendor_completions.d/incus-upload.fish',
};

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const architecture = ARCHITECTURES[process.arch];
if (architecture === undefined) fail(`there is no lmdb for ${process.arch}`);
ensureInstalled();
if (!values['no-build']) build();

const epoch = process.env.SOURCE_DATE_EPOCH || output('git', ['log', '-1', '--format=%ct']);
const time = new Date(Number(epoch) * 1000);
const tree = mkdtempSync(join(tmpdir(), 'incus-upload-deb-'));
try {
  chmodSync(tree, 0o755);
  const packages = putProgram();
  await putSystemFiles();
  putDocumentation(packages);
  const installedKib = Math.ceil(sizeOf(tree) / 1024);
  putControl(installedKib);
  normalise(tree);
  mkdirSync(values.out, { recursive: true });
  const file = resolve(values.out, `incus-upload_${version}_${architecture}.deb`);
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '-z3', '--build', tree, file], {
    env: { ...process.env, SOURCE_DATE_EPOCH: epoch },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  console.log(`${file}: ${Math.round(lstatSync(file).size / 1024)} KiB, installed ${installedKib} KiB`);
} finally {
  rmSync(tree, { recursive: true });
}

/** The names of the packages it took. */
function putProgram() {
  for (const part of ['bin', 'dist', 'package.json'])
    cpSync(join(root, part), join(tree, PROGRAM, part), { recursive: true });
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  // An optional one that is not there is for another system.
  const packages = Object.keys(lock).filter(
    (path) => path !== '' && lock[path].dev !== true && existsSync(join(root, path)),
  );
  for (const path of packages)
    cpSync(join(root, path), join(tree, PROGRAM, path), { recursive: true, filter: isForRunTime });
  removeEmptyFolders(join(tree, PROGRAM));
  mkdirSync(join(tree, 'usr/bin'), { recursive: true });
  for (const name of readdirSync(join(root, 'bin')).filter((name) => extname(name) === ''))
    symlinkSync(`../lib/incus-upload/bin/${name}`, join(tree, 'usr/bin', name));
  return packages.map((path) => ({ name: path.replace(/^.*node_modules\//, ''), path, ...lock[path] }));
}

function isForRunTime(path) {
  if (lstatSync(path).isDirectory()) {
    // Packages of its own that a package brings are listed in the lock file themselves.
    return !NOT_AT_RUN_TIME.has(basename(path)) && !basename(path).startsWith('.');
  }
  if (path.endsWith('.musl.node')) return false;
  return RUNTIME_FILES.has(extname(path));
}

async function putSystemFiles() {
  for (const unit of readdirSync(join(root, 'systemd')))
    put(`usr/lib/systemd/system/${unit}`, readFileSync(join(root, 'systemd', unit)));
  put('etc/incus-upload/uploadd.yml', await configFile());
  for (const page of readdirSync(join(root, 'man')))
    put(`usr/share/man/man${extname(page).slice(1)}/${page}.gz`, zip(readFileSync(join(root, 'man', page))));
  for (const [shell, path] of Object.entries(COMPLETIONS)) {
    const program = join(root, 'bin/incus-upload');
    put(path, execFileSync(process.execPath, [program, 'completion', shell]));
  }
}

/** Its head, then every option of the program that is packed, as a comment. */
async function configFile() {
  const { OPTIONS, fileKey } = await import('../dist/daemon/config-options.js');
  const installed = { env: {}, uid: 0, groupIds: [], groupFile: 'incus-admin:x:1:', stderrIsTerminal: false };
  const keys = OPTIONS.map(
    ({ name, help, fallback }) => `# ${help}\n#${fileKey(name)}: ${fallback(installed)}\n`,
  );
  return [ours('uploadd.yml').toString(), ...keys].join('\n');
}

function putDocumentation(packages) {
  for (const name of ['README.md', 'SECURITY.md']) {
    if (existsSync(join(root, name))) put(`${DOCUMENTATION}/${name}`, readFileSync(join(root, name)));
  }
  put(`${DOCUMENTATION}/CHANGELOG.md.gz`, zip(readFileSync(join(root, 'CHANGELOG.md'))));
  put(`${DOCUMENTATION}/changelog.gz`, zip(debianChangelog()));
  put(`${DOCUMENTATION}/copyright`, copyright(packages));
  put('usr/share/lintian/overrides/incus-upload', ours('lintian-overrides'));
}

/** Debian's form of it has to be there; what changed is told by ours. */
function debianChangelog() {
  const maintainer = /^Maintainer: (.*)$/m.exec(ours('control').toString())[1];
  const date = time.toUTCString().replace('GMT', '+0000');
  return [
    `incus-upload (${version}) unstable; urgency=medium`,
    '  * See CHANGELOG.md.gz.',
    ` -- ${maintainer}  ${date}\n`,
  ].join('\n\n');
}

/** Machine-readable, with the licence text of each package that comes along. */
function copyright(packages) {
  const indent = (text) =>
    text
      .trim()
      .split(/\r?\n/)
      .map((line) => (line.trim() === '' ? ' .' : ` ${line.trimEnd()}`))
      .join('\n');
  const stanzas = packages.map(({ name, path, license = 'see its own file' }) => {
    const file = readdirSync(join(root, path)).find((one) => /^licen[cs]e/i.test(one));
    // Debian has that text; policy 12.5 asks for a word of where.
    const isCommon = license === 'Apache-2.0' || file === undefined;
    const text = isCommon ? '' : `\n${indent(readFileSync(join(root, path, file), 'utf8'))}`;
    return `Files: ${PROGRAM}/${path}/*\nCopyright: the authors of ${name}\nLicense: ${license}${text}\n`;
  });
  return [ours('copyright').toString().trimEnd(), '', ...stanzas].join('\n');
}

function putControl(installedKib) {
  const control = ours('control')
    .toString()
    .replace('@VERSION@', version)
    .replace('@ARCHITECTURE@', architecture)
    .replace('@INSTALLED_KIB@', String(installedKib));
  const sums = filesUnder(tree)
    .filter((file) => lstatSync(join(tree, file)).isFile() && !file.startsWith('etc/'))
    .map((file) => output('md5sum', [file], tree));
  put('DEBIAN/control', control);
  put('DEBIAN/conffiles', '/etc/incus-upload/uploadd.yml\n');
  put('DEBIAN/md5sums', `${sums.join('\n')}\n`);
  for (const script of ['postinst', 'prerm', 'postrm']) put(`DEBIAN/${script}`, ours(script), 0o755);
}

/** Owners come from --root-owner-group; modes and times must not come from whoever builds. */
function normalise(path) {
  const stat = lstatSync(path);
  if (stat.isDirectory()) for (const name of readdirSync(path)) normalise(join(path, name));
  if (!stat.isSymbolicLink()) {
    const runs = stat.isDirectory() || (stat.mode & 0o111 && extname(path) === '');
    chmodSync(path, runs ? 0o755 : 0o644);
  }
  lutimesSync(path, time, time);
}

function put(path, content, mode = 0o644) {
  const to = join(tree, path);
  mkdirSync(dirname(to), { recursive: true });
  writeFileSync(to, content, { mode });
}

function ours(name) {
  return readFileSync(join(root, 'packaging/deb', name));
}

function zip(content) {
  return gzipSync(content, { level: 9 });
}

function removeEmptyFolders(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) removeEmptyFolders(join(folder, entry.name));
  if (readdirSync(folder).length === 0) rmSync(folder, { recursive: true });
}

function filesUnder(folder) {
  return readdirSync(folder, { recursive: true }).sort();
}

function sizeOf(folder) {
  return filesUnder(folder).reduce((sum, file) => sum + lstatSync(join(folder, file)).size, 0);
}

function output(program, args, cwd = root) {
  return execFileSync(program, args, { cwd, encoding: 'utf8' }).trim();
}

function fail(message) {
  console.error(`package-deb: ${message}`);
  process.exit(1);
}
