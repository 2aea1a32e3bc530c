// npm run demo: the daemon on a directory target in a temporary place, one large file pushed, queued and delivered.
// Needs no root and no Incus; what it starts it ends, what it makes it removes.
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream, mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { frames } from './demo-terminal.js';
import { build, ensureInstalled, root } from './prepare.js';

const FILE_MIB = 256;
const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 45_000;

ensureInstalled();
build();

const place = makePlace();
const paths = {
  socket: join(place, 'uploadd.sock'),
  state: join(place, 'state'),
  instances: join(place, 'instances'),
  source: join(place, 'photo-archive.bin'),
  delivered: join(place, 'instances', 'c1', 'srv', 'photo-archive.bin'),
};
const url = `unix:${paths.socket}`;
let daemon;
let failed = false;

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    daemon?.kill('SIGKILL');
    rmSync(place, { recursive: true, force: true });
    process.exit(130);
  });
}

try {
  await show();
} catch (error) {
  failed = true;
  console.error(`demo: ${error.message}`);
} finally {
  if (daemon?.exitCode === null) {
    daemon.kill('SIGKILL');
    await once(daemon, 'exit');
  }
  rmSync(place, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

async function show() {
  say(`A file of ${FILE_MIB} MiB, and a directory "c1" in place of an instance`);
  mkdirSync(join(paths.instances, 'c1'), { recursive: true });
  await pipeline(randomBytes(FILE_MIB), createWriteStream(paths.source));
  const wanted = await sha256(paths.source);
  console.log(`  ${paths.source}\n  SHA-256 ${wanted}`);

  say('The daemon. With a real Incus it is `incus-uploadd`, without options');
  const serve = ['--config', '/dev/null', '--listen', url, '--state-dir', paths.state];
  daemon = await startDaemon([...serve, '--target', `dir:${paths.instances}`, '--min-free-space', '64MiB']);

  say('Push: sent, then queued. The command returns as soon as the daemon has the file on stable storage');
  const id = await incusUpload('push', '--checksum', basename(paths.source), 'c1:/srv/');

  say('Wait for its delivery');
  await incusUpload('wait', id);
  await incusUpload('show', id);
  await incusUpload('jobs');

  say('Compare what arrived');
  const found = await sha256(paths.delivered);
  console.log(`  sent      ${wanted}\n  delivered ${found}`);
  if (found !== wanted) throw new Error('the delivered file differs');
  console.log('  The same.');

  say('Stop the daemon');
  await stopDaemon();
  console.log(`
With a real Incus, these are the commands:

  $ incus-uploadd                                  the daemon; as root, or as a member of the group incus-admin
  $ incus-upload push big.iso c1:/srv/             queue a file for the instance c1
  $ incus-upload push --wait *.deb c1:/root/       several, until they are delivered
  $ incus-upload jobs                              what is queued, delivered, failed
`);
}

function say(text) {
  console.log(`\n=== ${text}`);
}

function makePlace() {
  const needed = FILE_MIB * 2 ** 20 * 3 + 2 ** 28;
  const candidates = [tmpdir(), '/var/tmp', root].filter(hasRoom);
  if (candidates.length === 0) {
    console.error(
      `demo: needs ${Math.ceil(needed / 2 ** 20)} MiB of free space; set TMPDIR to where there is some`,
    );
    process.exit(1);
  }
  return mkdtempSync(join(candidates[0], 'incus-upload-demo-'));

  function hasRoom(folder) {
    try {
      const { bavail, bsize } = statfsSync(folder);
      return bavail * bsize >= needed;
    } catch {
      return false;
    }
  }
}

function* randomBytes(mebibytes) {
  for (let i = 0; i < mebibytes; i += 1) yield randomFillSync(Buffer.allocUnsafe(2 ** 20));
}

async function sha256(file) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 2 ** 20 }), hash);
  return hash.digest('hex');
}

async function startDaemon(args) {
  console.log(`  $ incus-uploadd ${args.join(' ')}`);
  const child = spawn(
    process.execPath,
    [join(root, 'bin', 'incus-uploadd'), ...args, '--log-format', 'text'],
    {
      stdio: ['ignore', 'inherit', 'pipe'],
    },
  );
  const lines = createInterface({ input: child.stderr });
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the daemon did not get ready')), READY_TIMEOUT_MS);
    child.once('exit', (code) => reject(new Error(`the daemon ended with status ${code}`)));
    child.once('error', reject);
    lines.on('line', (line) => {
      console.log(`  uploadd: ${line}`);
      if (!line.includes('listening')) return;
      clearTimeout(timer);
      resolve();
    });
  }).catch((error) => {
    child.kill('SIGKILL');
    throw error;
  });
  return child;
}

async function stopDaemon() {
  const exited = once(daemon, 'exit', { signal: AbortSignal.timeout(STOP_TIMEOUT_MS) });
  daemon.kill('SIGTERM');
  const [code] = await exited;
  if (code !== 0) throw new Error(`the daemon ended with status ${code}`);
  console.log('  It ended with status 0.');
}

/** Runs a command of the client as a user would see it; resolves to the id of the job that it names first. */
async function incusUpload(...args) {
  console.log(`  $ incus-upload ${args.join(' ')}`);
  const command = [process.execPath, join(root, 'bin', 'incus-upload'), ...args];
  const env = { ...process.env, INCUS_UPLOAD_URL: url };
  // A terminal without a width, as some CI systems give, cannot be drawn on.
  const onTerminal = process.stdout.isTTY === true && process.stdout.columns > 0;
  const child = onTerminal ? spawnHere(command, env) : spawnOnPseudoTerminal(command, env);
  let output = '';
  child.stdout.setEncoding('utf8');
  if (onTerminal) {
    child.stdout.on('data', (text) => {
      output += text;
      process.stdout.write(text);
    });
  } else {
    for await (const frame of frames(child.stdout)) {
      output += `${frame}\n`;
      console.log(`  ${frame}`);
    }
  }
  const code = child.exitCode ?? (await once(child, 'exit'))[0];
  if (code !== 0) throw new Error(`incus-upload ${args[0]} ended with status ${code}`);
  const id = /\b[0-9a-hjkmnp-tv-z]{11}\b/.exec(output)?.[0];
  if (id === undefined) throw new Error(`incus-upload ${args[0]} named no job`);
  return id;
}

/** Progress is drawn on standard error, which is the user's terminal. */
function spawnHere([program, ...args], env) {
  return spawn(program, args, { cwd: place, env, stdio: ['inherit', 'pipe', 'inherit'] });
}

/** Where there is no terminal, script(1) makes one, so that progress can be seen in a log as well. */
function spawnOnPseudoTerminal(command, env) {
  if (spawnSync('script', ['--version']).status !== 0) return spawnHere(command, env);
  const quoted = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  return spawn('script', ['-qfec', `stty cols 110; exec ${quoted}`, '/dev/null'], {
    cwd: place,
    env: { ...env, TERM: 'xterm', NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}
