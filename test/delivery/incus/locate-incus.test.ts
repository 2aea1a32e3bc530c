import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { findLocalIncus, readRemoteIncus } from '../../../src/delivery/incus/locate-incus.ts';

/** Whoever runs the test, unless that is root. */
const ORDINARY_USER = process.geteuid?.() || 65534;

let directory = '';
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'locate-incus-'));
});
after(() => rmSync(directory, { recursive: true, force: true }));

describe('findLocalIncus()', () => {
  it('prefers INCUS_SOCKET, then INCUS_DIR', () => {
    assert.equal(findLocalIncus({ INCUS_SOCKET: '/a/s', INCUS_DIR: '/b' }).socketPath, '/a/s');
    assert.equal(findLocalIncus({ INCUS_DIR: '/b' }).socketPath, '/b/unix.socket');
  });

  it('looks where Incus is installed otherwise', () => {
    assert.match(findLocalIncus({}).socketPath, /^\/(run|var\/lib)\/incus\/unix\.socket(\.user)?$/);
  });

  it('takes the socket for users where the other is closed, and says so', () => {
    writeFileSync(join(directory, 'unix.socket'), '', { mode: 0o400 });
    writeFileSync(join(directory, 'unix.socket.user'), '', { mode: 0o600 });
    const found = findAsOrdinaryUser(directory);
    assert.equal(found.socketPath, join(directory, 'unix.socket.user'));
    assert.match(found.note ?? '', new RegExp(`user-${ORDINARY_USER}`));
  });
});

/** Root may write to every socket, so root's test asks as another user: by a program that needs nothing of the checkout. */
function findAsOrdinaryUser(incusDir: string): { socketPath: string; note?: string } {
  if (process.geteuid?.() !== 0) return findLocalIncus({ INCUS_DIR: incusDir }) as { socketPath: string };
  const program = join(incusDir, 'find.mjs');
  buildSync({
    stdin: {
      contents: `import { findLocalIncus } from './src/delivery/incus/locate-incus.ts';
        console.log(JSON.stringify(findLocalIncus({ INCUS_DIR: ${JSON.stringify(incusDir)} })));`,
      resolveDir: fileURLToPath(new URL('../../..', import.meta.url)),
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    outfile: program,
    logLevel: 'error',
  });
  chmodSync(incusDir, 0o755);
  chownSync(join(incusDir, 'unix.socket.user'), ORDINARY_USER, -1);
  const { stdout, stderr } = spawnSync(process.execPath, [program], {
    uid: ORDINARY_USER,
    env: {},
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  return JSON.parse(stdout) as { socketPath: string };
}

describe('readRemoteIncus()', () => {
  it('finds the certificates of the remote with this address', () => {
    const conf = join(directory, 'conf');
    mkdirSync(join(conf, 'servercerts'), { recursive: true });
    writeFileSync(join(conf, 'client.crt'), 'CERT');
    writeFileSync(join(conf, 'client.key'), 'KEY');
    writeFileSync(join(conf, 'servercerts', 'far.crt'), 'FAR');
    writeFileSync(
      join(conf, 'config.yml'),
      'remotes:\n  local: {addr: unix://}\n  near: {addr: "https://near:8443"}\n  far: {addr: "https://far"}\n',
    );
    const env = { INCUS_CONF: conf };
    assert.deepEqual(readRemoteIncus('far', 8443, {}, env), {
      kind: 'https',
      host: 'far',
      port: 8443,
      clientCert: 'CERT',
      clientKey: 'KEY',
      serverCert: 'FAR',
    });
    assert.equal(readRemoteIncus('far', 443, {}, env).serverCert, undefined);
    assert.equal(readRemoteIncus('near', 8443, {}, env).serverCert, undefined);
    const named = { clientCert: join(conf, 'client.key'), serverCert: join(conf, 'client.crt') };
    const remote = readRemoteIncus('near', 8443, named, { HOME: directory, INCUS_CONF: conf });
    assert.deepEqual([remote.clientCert, remote.clientKey, remote.serverCert], ['KEY', 'KEY', 'CERT']);
  });

  it('names the file that cannot be read', () => {
    assert.throws(() => readRemoteIncus('h', 1, {}, { HOME: directory }), /\.config\/incus\/client\.crt/);
  });
});
