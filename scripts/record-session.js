// npm run recording: a session with the built programs in a terminal (tmux), written as docs/session.svg. The daemon's
// target is a directory, so it needs no Incus and no root. What is seen is what happened, only long pauses are cut.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { build, ensureInstalled, root } from './prepare.js';
import { terminalSvg } from './terminal-svg.js';

const SIZE = { columns: 84, rows: 20 };
const MIB = 2 ** 20;
const KEY_MS = 45;
const LOOK_MS = 120;
const LONGEST_MS = 1800;
const LAST_MS = 5000;
const ESCAPE = '\u001b';
const PATIENCE_MS = 120_000;

// A place that is the same on every machine, as the screen shows it.
const PLACE = '/tmp/incus-upload-recording';
const SOCKET = join(PLACE, 'uploadd.sock');

ensureInstalled();
build();
mkdirSync(PLACE);
const tmuxDirectory = mkdtempSync(join(tmpdir(), 'incus-upload-recording-tmux-'));
let daemon;
try {
  await makeFiles();
  daemon = await startDaemon();
  const { frames, still } = await record();
  mkdirSync(join(root, 'docs'), { recursive: true });
  const title = 'A session: files are pushed, one misses its instance, jobs are listed and watched live';
  const svg = terminalSvg(frames, { ...SIZE, title, still });
  writeFileSync(join(root, 'docs', 'session.svg'), svg);
  console.log(`docs/session.svg: ${frames.length} screens, ${Math.round(svg.length / 1024)} KiB`);
} finally {
  try {
    tmux('kill-server');
  } catch {
    // It had not begun.
  }
  if (daemon?.exitCode === null) {
    daemon.kill('SIGTERM');
    await once(daemon, 'exit');
  }
  rmSync(PLACE, { recursive: true, force: true });
  rmSync(tmuxDirectory, { recursive: true, force: true });
}

async function makeFiles() {
  for (const name of ['web', 'db', 'cache']) mkdirSync(join(PLACE, 'instances', name), { recursive: true });
  const home = join(PLACE, 'home');
  mkdirSync(join(home, 'site', 'css'), { recursive: true });
  for (const [name, mebibytes] of [
    ['image.tar', 768],
    ['base.qcow2', 160],
    ['data.qcow2', 224],
    ['logs.qcow2', 96],
  ]) {
    writeFileSync(join(home, name), '');
    truncateSync(join(home, name), mebibytes * MIB);
  }
  writeFileSync(join(home, 'nginx.conf'), 'worker_processes auto;\n');
  const bin = join(PLACE, 'bin');
  mkdirSync(bin);
  const program = join(root, 'bin', 'incus-upload');
  writeFileSync(join(bin, 'incus-upload'), `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`, {
    mode: 0o755,
  });
  writeFileSync(join(PLACE, 'rc'), `PS1='\\[\\e[32m\\]$\\[\\e[0m\\] '; PATH='${bin}':$PATH\n`);
}

async function startDaemon() {
  const child = spawn(
    process.execPath,
    [
      ...[join(root, 'bin', 'incus-uploadd'), '--config', '/dev/null', '--listen', `unix:${SOCKET}`],
      ...['--state-dir', join(PLACE, 'state'), '--target', `dir:${join(PLACE, 'instances')}`],
      ...['--min-free-space', '0', '--log-format', 'json'],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  for await (const text of child.stderr.setEncoding('utf8')) {
    if (text.includes('"listening"')) break;
    if (child.exitCode !== null) throw new Error(`the daemon ended: ${text}`);
  }
  return child;
}

function environment() {
  const env = { ...process.env };
  for (const name of Object.keys(env)) {
    if (/^(?:INCUS_|NO_COLOR$|FORCE_COLOR$|CI$|XDG_|TMUX)/.test(name)) delete env[name];
  }
  const home = join(PLACE, 'home');
  return {
    ...env,
    HOME: home,
    TMUX_TMPDIR: tmuxDirectory,
    LANG: 'C.UTF-8',
    INCUS_UPLOAD_URL: `unix:${SOCKET}`,
  };
}

function tmux(...args) {
  return execFileSync('tmux', ['-u', '-f', '/dev/null', ...args], { env: environment(), encoding: 'utf8' });
}

async function record() {
  const { columns, rows } = SIZE;
  const size = ['-x', `${columns}`, '-y', `${rows}`];
  tmux('new-session', '-d', ...size, '-c', join(PLACE, 'home'), `bash --rcfile ${join(PLACE, 'rc')} -i`);
  const film = [];
  let filming = true;
  const camera = (async () => {
    while (filming) {
      film.push({ ...look(), atMs: performance.now() });
      await sleep(LOOK_MS);
    }
  })();
  let still = 0;
  try {
    await until(/\$ *$/m);
    await run('incus-upload push --wait image.tar web:/srv/');
    await run('incus-upload push base.qcow2 data.qcow2 logs.qcow2 db:/var/lib/images/');
    await run('incus-upload push --wait nginx.conf wbe:/etc/nginx/');
    await run('incus-upload jobs', 1500);
    await type('incus-upload jobs --watch');
    await until(/leave/);
    await sleep(1200);
    const more = ['push', '-q', 'data.qcow2', 'logs.qcow2', 'base.qcow2', 'image.tar', 'cache:/srv/'];
    const pushing = spawn(join(PLACE, 'bin', 'incus-upload'), more, {
      ...{ cwd: join(PLACE, 'home'), env: environment(), stdio: 'ignore' },
    });
    if (pushing.exitCode === null) await once(pushing, 'exit');
    await until(/delivered 8 /);
    still = film.length;
    await sleep(1500);
    for (let i = 0; i < 12 && !isFailedChosen(); i += 1) {
      tmux('send-keys', 'Down');
      await sleep(250);
    }
    await sleep(1500);
  } finally {
    filming = false;
    await camera;
  }
  return cut(film, still);
}

/** The screen, and where its cursor is when it is shown. */
function look() {
  const screen = tmux('capture-pane', '-e', '-p');
  const [x, y, isShown] = tmux('display', '-p', '#{cursor_x} #{cursor_y} #{cursor_flag}')
    .split(' ')
    .map(Number);
  return { screen, cursor: isShown === 1 ? { column: x, row: y } : undefined };
}

function isFailedChosen() {
  return new RegExp(`${ESCAPE}\\[(?:\\d+;)*7m[^\\n]*failed`).test(tmux('capture-pane', '-e', '-p'));
}

async function until(pattern) {
  const endMs = performance.now() + PATIENCE_MS;
  while (!pattern.test(tmux('capture-pane', '-p').trimEnd())) {
    if (performance.now() > endMs) throw new Error(`the screen never showed ${pattern}`);
    await sleep(LOOK_MS);
  }
}

async function type(line) {
  for (const character of line) {
    tmux('send-keys', '-l', character);
    await sleep(KEY_MS);
  }
  await sleep(300);
  tmux('send-keys', 'Enter');
}

/** Types a command, and lets its output stand for a moment when it has ended. */
async function run(line, standMs = 900) {
  await type(line);
  await sleep(300);
  await until(/\n\$$/);
  await sleep(standMs);
}

/** Equal screens become one; long pauses become shorter. `still` is the picture where nothing moves. */
function cut(film, still) {
  const frames = [];
  let picture = 0;
  film.forEach(({ screen, cursor, atMs }, index) => {
    const durationMs = Math.round((film[index + 1]?.atMs ?? atMs) - atMs);
    const last = frames.at(-1);
    const isSame = last?.screen === screen && JSON.stringify(last.cursor) === JSON.stringify(cursor);
    if (isSame) last.durationMs += durationMs;
    else frames.push({ screen, cursor, durationMs });
    if (index <= still) picture = frames.length - 1;
  });
  for (const frame of frames) frame.durationMs = Math.min(frame.durationMs, LONGEST_MS);
  frames.at(-1).durationMs = LAST_MS;
  return { frames, still: picture };
}
