/** `remote`, against the real daemon with https: a self-signed certificate is pinned, a changed one refused. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type BuiltClient, buildClient, type Ended } from '../support/built-client.ts';
import { makeSelfSigned, makeSigned, type Pair } from '../support/certificates.ts';
import { type Daemon, startDaemon } from '../support/programs.ts';
import { skipUnless } from '../support/skip-unless.ts';

const openssl = skipUnless('openssl');
const BIN = fileURLToPath(new URL('../../bin', import.meta.url));

let client: BuiltClient;
let daemon: Daemon;
let url: string;
let served: Pair;
/** The fingerprint of `served`. */
let pinned: string;
let own: Pair;
let file: string;
let configFile: string;

before(async () => {
  if (openssl.skip !== undefined) return;
  client = await buildClient();
  const { directory } = client;
  mkdirSync(join(directory, 'target', 'web'), { recursive: true });
  file = join(directory, 'file');
  writeFileSync(file, 'hello');
  configFile = join(directory, 'config', 'incus-upload', 'config.yml');
  served = makeSelfSigned(directory, 'served');
  pinned = fingerprintOf(served);
  const authority = makeSelfSigned(directory, 'authority');
  own = makeSigned(directory, 'own', authority);
  daemon = await startDaemon({
    target: `dir:${join(directory, 'target')}`,
    args: [
      ...['--listen', 'https://127.0.0.1:0', '--tls-client-ca', authority.cert],
      ...['--tls-cert', served.cert, '--tls-key', served.key],
    ],
  });
  url = await httpsAddress();
});
after(async () => {
  await daemon?.close();
  client?.remove();
});
beforeEach(() => {
  if (openssl.skip === undefined) rmSync(join(client.directory, 'config'), { recursive: true, force: true });
});

/** Hex SHA-256. */
function fingerprintOf({ cert }: Pair): string {
  const { fingerprint256 } = new X509Certificate(readFileSync(cert));
  return fingerprint256.replaceAll(':', '').toLowerCase();
}

let starts = 1;

/** Where the daemon listens since its last start; each takes another free port. */
async function httpsAddress(): Promise<string> {
  for (;;) {
    const addresses = [...daemon.log().matchAll(/"address":"(https:[^"]+)"/g)];
    const last = addresses.at(starts - 1)?.[1];
    if (last !== undefined) return last;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function restart(): Promise<string> {
  await daemon.stop();
  await daemon.start();
  starts += 1;
  return await httpsAddress();
}

const environment = (): NodeJS.ProcessEnv => ({ XDG_CONFIG_HOME: join(client.directory, 'config') });
const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> =>
  client.run(args, { env: { ...environment(), ...env } });
const withOwn = (): string[] => ['--cert', own.cert, '--key', own.key];

async function addLab(): Promise<void> {
  const added = await run(['remote', 'add', 'lab', url, ...withOwn(), '--accept-fingerprint', pinned]);
  assert.equal(added.status, 0, added.stderr);
}

test('remote add shows the fingerprint and refuses to guess off a terminal', openssl, async () => {
  const { status, stderr, stdout } = await run(['remote', 'add', 'lab', url, ...withOwn()]);
  assert.deepEqual([status, stdout], [69, '']);
  assert.match(
    stderr,
    /^incus-upload: The certificate of https:\S+ cannot be verified \(it is self-signed\)[^\n]*\n$/,
  );
  assert.match(stderr, new RegExp(`add --accept-fingerprint ${pinned}`));
  assert.equal(existsSync(configFile), false);
});

test('a remote is pinned, kept for its owner alone, listed without secrets, and used', openssl, async () => {
  await addLab();
  assert.equal(statSync(configFile).mode & 0o777, 0o600);
  assert.equal(statSync(join(configFile, '..')).mode & 0o777, 0o700);
  const pushed = await run(['push', '-q', '--wait', '--remote', 'lab', file, 'web:/lab']);
  assert.equal(pushed.status, 0, pushed.stderr);
  assert.equal(readFileSync(join(client.directory, 'target', 'web', 'lab'), 'utf8'), 'hello');
  assert.equal((await run(['jobs', '-q'], { INCUS_UPLOAD_REMOTE: 'lab' })).stdout, pushed.stdout);

  assert.equal((await run(['remote', 'default', 'lab'])).status, 0);
  assert.equal((await run(['remote', 'default'])).stdout, 'lab\n');
  assert.equal((await run(['jobs', '-q'])).stdout, pushed.stdout);
  const [listed] = (await run(['remote', 'list', '--json'])).stdout.trim().split('\n');
  assert.deepEqual(JSON.parse(listed ?? ''), {
    ...{ name: 'lab', url, default: true, fingerprint: pinned },
    ...{ token: null, token_file: null, cert: own.cert, key: own.key },
  });
  assert.match(
    (await run(['remote', 'list'])).stdout,
    /^NAME .*\nlab \(default\) +https:\S+ +pinned [0-9a-f]{12} +-\n$/,
  );

  assert.equal((await run(['remote', 'remove', 'lab'])).status, 0);
  assert.deepEqual(await run(['remote', 'list', '-q']), { status: 0, stdout: '', stderr: '' });
  const gone = await run(['jobs', '--remote', 'lab']);
  assert.equal(gone.status, 78);
  assert.match(gone.stderr, /no remote "lab" .*; add it: incus-upload remote add lab URL\n$/);
});

test(
  'a token of the daemon works over https, from the file or a file of its own, and is never shown',
  openssl,
  async () => {
    const made = await new Promise<string>((resolve, reject) => {
      const args = ['token', 'add', 'tester', '--state-dir', daemon.stateDir];
      execFile(join(BIN, 'incus-uploadd'), args, (error, stdout) =>
        error ? reject(error) : resolve(stdout),
      );
    });
    const token = made.trim();
    const tokenFile = join(client.directory, 'token');
    writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 });
    for (const [name, ...given] of [
      ['kept', '--token', token],
      ['filed', '--token-file', tokenFile],
    ] as const) {
      const added = await run(['remote', 'add', name, url, ...given, '--accept-fingerprint', '--json']);
      assert.equal(added.status, 0, added.stderr);
      assert.equal(JSON.parse(added.stdout).token, name === 'kept' ? 'stored' : 'file');
      const pushed = await run(['push', '--json', '--wait', '--remote', name, file, 'web:/by-token']);
      assert.equal(JSON.parse(pushed.stdout).submitted_by, 'token:tester', pushed.stderr);
      for (const form of [[], ['--json']])
        assert.ok(!(await run(['remote', 'list', ...form])).stdout.includes(token));
    }
  },
);

test('a daemon whose certificate changed gets nothing, and one is told what to do', openssl, async () => {
  await addLab();
  const other = makeSelfSigned(client.directory, 'other');
  const certificate = readFileSync(served.cert);
  const key = readFileSync(served.key);
  copyFileSync(other.cert, served.cert);
  copyFileSync(other.key, served.key);
  try {
    // Another port, but the same remote in all else.
    const moved = await restart();
    writeFileSync(configFile, readFileSync(configFile, 'utf8').replace(url, moved));
    const { status, stderr, stdout } = await run([
      'push',
      '-q',
      '--remote',
      'lab',
      '--json',
      file,
      'web:/changed',
    ]);
    assert.deepEqual([status, stdout], [69, '']);
    const { error } = JSON.parse(stderr);
    assert.deepEqual([error.code, error.retryable], ['server_untrusted', false]);
    assert.match(
      error.message,
      new RegExp(`has changed: its fingerprint is ${fingerprintOf(other)}, not ${pinned}`),
    );
    assert.match(error.message, /remote remove, remote add/);
    assert.equal(existsSync(join(client.directory, 'target', 'web', 'changed')), false);
  } finally {
    writeFileSync(served.cert, certificate);
    writeFileSync(served.key, key);
    url = await restart();
  }
});

test('a certificate that a trusted authority vouches for needs no pin', openssl, async () => {
  const env = { NODE_EXTRA_CA_CERTS: served.cert };
  const added = await run(['remote', 'add', 'lab', url, ...withOwn()], env);
  assert.equal(added.status, 0, added.stderr);
  assert.doesNotMatch(readFileSync(configFile, 'utf8'), /fingerprint/);
  assert.equal((await run(['info', '--remote', 'lab'], env)).status, 0);
  // Instead of the system's, which are enough as long as there are some.
  assert.equal((await run(['info', '--remote', 'lab'], { SSL_CERT_FILE: served.cert })).status, 0);
  const untrusted = await run(['info', '--remote', 'lab']);
  assert.equal(untrusted.status, 69);
  assert.match(
    untrusted.stderr,
    /cannot be verified \(it is self-signed\); pin it \(incus-upload remote add NAME https:/,
  );
});

test('remote add refuses what cannot work, and keeps nothing', openssl, async () => {
  const wrong = 'ab'.repeat(32);
  for (const [args, status, expected] of [
    [['lab', url, ...withOwn(), '--accept-fingerprint', wrong], 69, /which is not the one that was given/],
    [
      ['lab', url, ...withOwn(), '--accept-fingerprint', 'xyz'],
      64,
      /Not a SHA-256 fingerprint: "xyz"; expected 64 hex/,
    ],
    [
      ['lab', url, '--token', 'wrong', '--accept-fingerprint'],
      77,
      /does not let you in, so nothing was added: /,
    ],
    [['lab', url, '--cert', own.cert], 64, /--cert and --key belong together/],
    [['lab', url, '--token', 'a', '--token-file', file], 64, /either --token or --token-file/],
    [['lab', 'http://127.0.0.1:1', '--accept-fingerprint'], 64, /need https:\/\//],
    [['a/b', url], 64, /Not a name for a remote/],
    [['local', url], 64, /choose another name/],
    [['lab', 'nonsense'], 64, /expected unix:PATH/],
    [['lab', 'https://127.0.0.1:1'], 69, /nothing listens there/],
    [['lab', url.replace('https', 'http'), '--token', 'x'], 69, /incus-upload: /],
  ] as const) {
    const ended = await run(['remote', 'add', ...args]);
    assert.match(ended.stderr, expected);
    assert.match(ended.stderr, /^incus-upload: [^\n]*\n$/);
    assert.equal(ended.status, status, ended.stderr);
    assert.equal(existsSync(configFile), false);
  }
  await addLab();
  const again = await run(['remote', 'add', 'lab', url, '--accept-fingerprint']);
  assert.equal(again.status, 64);
  assert.match(again.stderr, /There is a remote lab .*first: incus-upload remote remove lab\n$/);
});

test('remote add asks on a terminal', openssl.skip === undefined ? skipUnless('script') : openssl, () => {
  const answer = (typed: string): string => {
    const quoted = [process.execPath, client.program, 'remote', 'add', 'lab', url, ...withOwn()].map(
      (word) => `'${word}'`,
    );
    return spawnSync('script', ['-qfec', quoted.join(' '), '/dev/null'], {
      input: typed,
      encoding: 'utf8',
      env: { ...process.env, ...environment() },
    }).stdout;
  };
  assert.match(answer('n\n'), /The certificate was not accepted, so nothing was added/);
  assert.equal(existsSync(configFile), false);
  const text = answer('what?\ny\n');
  assert.match(text, new RegExp(`Its SHA-256 fingerprint is ${pinned}`));
  assert.match(text, /lab is known/);
  assert.match(readFileSync(configFile, 'utf8'), new RegExp(`fingerprint: ${pinned}`));
});
