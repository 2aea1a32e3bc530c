import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, get, type Server } from 'node:http';
import { createServer as createNetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { openListener } from '../../src/daemon/listen.ts';
import { formatListenAddress } from '../../src/daemon/listen-address.ts';
import { CodedError } from '../../src/errors.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'incus-upload-listen-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const unix = { mode: 0o640, groupId: null };
const hello = (): Server => createServer((_, response) => response.end('hello'));

function ask(options: { socketPath?: string; host?: string; port?: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ ...options, agent: false }, (response) => {
      response.setEncoding('utf8').once('data', resolve);
    }).once('error', reject);
  });
}

const isInvalid = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof CodedError);
  assert.equal(error.code, 'config_invalid');
  assert.match(error.message, pattern);
  return true;
};

test('openListener() makes the directory, gives the socket its mode and answers on it', async () => {
  const path = join(directory, 'run', 'deep', 'x.sock');
  const listener = await openListener(hello(), { kind: 'unix', path }, unix);
  assert.equal(statSync(path).mode & 0o777, 0o640);
  assert.equal(await ask({ socketPath: path }), 'hello');
  await listener.close();
  assert.equal(existsSync(path), false);
});

test('openListener() gives the socket its group', {
  skip: process.getuid?.() !== 0 && 'needs root',
}, async () => {
  const path = join(directory, 'x.sock');
  const listener = await openListener(hello(), { kind: 'unix', path }, { mode: 0o660, groupId: 12345 });
  assert.equal(statSync(path).gid, 12345);
  await listener.close();
});

test('openListener() refuses a socket that somebody listens on, and leaves it alone', async () => {
  const path = join(directory, 'x.sock');
  const first = await openListener(hello(), { kind: 'unix', path }, unix);
  await assert.rejects(openListener(hello(), { kind: 'unix', path }, unix), isInvalid(/already in use/));
  assert.equal(await ask({ socketPath: path }), 'hello');
  await first.close();
});

test('openListener() replaces a socket whose owner was killed', async () => {
  const path = join(directory, 'x.sock');
  const program = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.ok(statSync(path).isSocket());
  const listener = await openListener(hello(), { kind: 'unix', path }, unix);
  assert.equal(await ask({ socketPath: path }), 'hello');
  await listener.close();
});

test('openListener() does not touch a file that is no socket', async () => {
  const path = join(directory, 'precious');
  writeFileSync(path, 'text');
  await assert.rejects(openListener(hello(), { kind: 'unix', path }, unix), isInvalid(/is no socket/));
  assert.ok(statSync(path).isFile());
});

test('close() leaves the socket of a successor', async () => {
  const path = join(directory, 'x.sock');
  const first = await openListener(hello(), { kind: 'unix', path }, unix);
  rmSync(path);
  const second = await openListener(hello(), { kind: 'unix', path }, unix);
  await first.close();
  assert.equal(await ask({ socketPath: path }), 'hello');
  await second.close();
});

test('openListener() tells the port that was chosen for port 0', async () => {
  const listener = await openListener(hello(), { kind: 'http', host: '127.0.0.1', port: 0 }, unix);
  const { address } = listener;
  assert.ok(address.kind === 'http' && address.port > 0);
  assert.equal(formatListenAddress(address), `http://127.0.0.1:${address.port}`);
  assert.equal(await ask({ host: '127.0.0.1', port: address.port }), 'hello');
  await listener.close();
});

test('openListener() names the address that is taken', async () => {
  const taken = createNetServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const bound = taken.address();
  assert.ok(typeof bound === 'object' && bound !== null);
  const address = { kind: 'http', host: '127.0.0.1', port: bound.port } as const;
  await assert.rejects(
    openListener(hello(), address, unix),
    isInvalid(new RegExp(`:${bound.port}: already in use`)),
  );
  taken.close();
});

/** Binds and listens as systemd does, then becomes the program, which finds the socket as descriptor 3. */
const ACTIVATE = `
  use Socket; $^F = 9;
  my ($path, @command) = @ARGV;
  my ($family, $at) = $path ? (AF_UNIX, pack_sockaddr_un($path)) : (AF_INET, pack_sockaddr_in(0, INADDR_LOOPBACK));
  my $s;
  socket($s, $family, SOCK_STREAM, 0) && bind($s, $at) && listen($s, 9) or die $!;
  die "not descriptor 3" if fileno($s) != 3;
  @ENV{qw(LISTEN_PID LISTEN_FDS LISTEN_FDNAMES)} = ($$, 1, "x.socket");
  exec @command;`;

const PASSED = `
  import { createServer } from 'node:http';
  import { openPassedListener } from './src/daemon/listen.ts';
  import { listenFds } from './src/daemon/systemd.ts';
  const [passed] = listenFds(process.env, process.pid);
  const server = createServer((_, response) => response.end('hello'));
  const check = () => { if (process.env.REFUSE) throw new Error('not here'); };
  openPassedListener(server, passed, 'http', check).then(
    ({ address, close }) => {
      console.log(JSON.stringify(address));
      server.once('request', (_, response) => response.once('close', close));
    },
    (error) => console.log(error.code, error.message));`;

async function runPassed(
  path: string,
  env: Record<string, string>,
): Promise<{ told: string; answer?: string }> {
  const node = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', PASSED];
  const child = spawn('perl', ['-e', ACTIVATE, path, ...node], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  const exited = once(child, 'exit');
  const [data] = await once(child.stdout.setEncoding('utf8'), 'data');
  const told = String(data);
  if (!told.startsWith('{')) {
    await exited;
    return { told };
  }
  const { port } = JSON.parse(told);
  const answer = await ask(path === '' ? { host: '127.0.0.1', port } : { socketPath: path });
  await exited;
  return { told, answer };
}

const noPerl = spawnSync('perl', ['-e', '1']).error !== undefined && 'needs perl';

test('openPassedListener() answers on a unix socket of systemd and leaves it there', {
  skip: noPerl,
}, async () => {
  const path = join(directory, 'passed.sock');
  const { told, answer } = await runPassed(path, {});
  assert.deepEqual(JSON.parse(told), { kind: 'unix', path });
  assert.equal(answer, 'hello');
  assert.ok(existsSync(path));
});

test('openPassedListener() answers on a TCP socket of systemd', { skip: noPerl }, async () => {
  const { told, answer } = await runPassed('', {});
  assert.match(told, /^\{"kind":"http","host":"127\.0\.0\.1","port":\d+\}$/m);
  assert.equal(answer, 'hello');
});

test('openPassedListener() lets an address be refused', { skip: noPerl }, async () => {
  const { told } = await runPassed('', { REFUSE: '1' });
  assert.equal(told, 'config_invalid listen: socket x.socket of systemd: not here\n');
});
