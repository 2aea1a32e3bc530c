/**
 * Builds dist/: the daemon and all that it imports by the compiler, the command-line client as a bundle that loads fast.
 *
 *   dist/daemon/main.js …      what bin/incus-uploadd loads
 *   dist/cli/incus-upload.cjs  what bin/incus-upload loads: scripts/cli-loader.cjs
 *   dist/cli/hot.cjs, cold.cjs the client with its packages, see scripts/bundle-cli.js
 *   dist/cli/*.cache           V8's compiled form of them; another Node than this one ignores it
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleCli } from './bundle-cli.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
/** Built here and then put in place, so that there is never half a dist/. As deep as dist/, for paths between files. */
const building = join(root, '.build');
const cli = join(building, 'cli');

/** A job as the daemon writes it, for the runs that warm the client up. */
const JOB = {
  ...{ id: '1k101aecnv0', state: 'delivered', instance: 'build', project: 'default', path: '/tmp/file' },
  ...{
    delivered_path: '/tmp/file',
    source_name: 'file',
    size: 1024,
    sha256: null,
    mode: '0644',
    uid: 0,
    gid: 0,
  },
  ...{ create_dirs: true, created_at: '2026-01-01T00:00:00Z', updated_at: '2026-01-01T00:00:00Z' },
  ...{ finished_at: '2026-01-01T00:00:00Z', attempts: 1, max_attempts: 10, next_attempt_at: null },
  ...{ bytes_delivered: 1024, ahead: null, error: null, submitted_by: null, history: [] },
};

const startedAtMs = performance.now();
rmSync(building, { recursive: true, force: true });
compile();
// The compiler's output of these two rooms would be a second client beside the bundle.
rmSync(cli, { recursive: true, force: true });
rmSync(join(building, 'client'), { recursive: true, force: true });
await buildCli();
rmSync(dist, { recursive: true, force: true });
renameSync(building, dist);
report();

function compile() {
  const compiler = join(
    dirname(createRequire(import.meta.url).resolve('typescript/package.json')),
    'bin',
    'tsc',
  );
  const args = [compiler, '-p', join(root, 'tsconfig.json'), '--outDir', building];
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  if (status !== 0) fail('the compiler found errors, see above');
}

async function buildCli() {
  mkdirSync(cli, { recursive: true });
  await bundleCli(root, cli);
  copyFileSync(join(root, 'scripts/cli-loader.cjs'), join(cli, 'incus-upload.cjs'));
  const directory = mkdtempSync(join(tmpdir(), 'incus-upload-build-'));
  try {
    await recordCaches(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Lets the client work for real, against a server that says yes, and keeps what V8 compiled for it. */
async function recordCaches(directory) {
  const url = `unix:${join(directory, 'socket')}`;
  const file = join(directory, 'file');
  writeFileSync(file, Buffer.alloc(1024));
  const server = createServer((request, response) => {
    request.resume().once('end', () => {
      const upload = request.method === 'POST';
      response.writeHead(upload ? 202 : 200, { 'X-Job-Id': JOB.id, 'Content-Type': 'application/json' });
      response.end(
        `${JSON.stringify(request.url.includes('/v1/jobs?') ? { jobs: [JOB], next: null } : JOB)}\n`,
      );
    });
  });
  await new Promise((resolve) => server.listen(join(directory, 'socket'), resolve));
  try {
    await record('hot', ['push', '-q', file, 'build:/tmp/', '--url', url, '--retries', '0']);
    await record('cold', ['jobs', '--url', url]);
  } finally {
    server.close();
  }
}

async function record(temperature, args) {
  const recorder = spawn(process.execPath, [join(root, 'scripts/record-cli-cache.cjs'), cli, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const status = await new Promise((resolve) => recorder.once('close', resolve));
  if (status !== 0) fail(`the bundled client failed at: ${args[0]}`);
  if (!existsSync(join(cli, `${temperature}.cache`)))
    fail(`V8 gave no compiled form of the ${temperature} chunks`);
}

function report() {
  const kib = (name) => `${Math.round(statSync(join(dist, 'cli', name)).size / 1024)} KiB ${name}`;
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
  const files = ['hot.cjs', 'hot.cache', 'cold.cjs', 'cold.cache'].map(kib).join(', ');
  process.stdout.write(`built dist/ in ${seconds} s; the client: ${files}\n`);
}

function fail(message) {
  process.stderr.write(`build: ${message}\n`);
  process.exit(1);
}
