/**
 * Measures a start with many queued jobs: fills a state directory, starts the built daemon on it with a target that does
 * not answer, and prints how long until /readyz says 200 and how much memory that took.
 *
 *   npm run build && node --import tsx test/spool/million.ts [JOBS] [BYTES] [STATE_DIR]
 *
 * A STATE_DIR that has jobs already is used as it is, and kept.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Spool } from '../../src/spool/spool.ts';
import { draft, spoolOptions } from './spool-builder.ts';

const [jobs = '1000000', bytes = '100', given] = process.argv.slice(2);
const stateDir = given ?? mkdtempSync(join(tmpdir(), 'incus-upload-million-'));

async function fill(count: number, sizeBytes: number): Promise<void> {
  const spool = await Spool.open(spoolOptions(stateDir));
  const payload = Buffer.alloc(sizeBytes, 'm');
  for (let done = 0; done < count; ) {
    const group = Math.min(5000, count - done);
    await Promise.all(
      Array.from({ length: group }, (_, i) =>
        spool.acceptInline(
          draft({
            instance: `c${(done + i) % 50}`,
            path: `/srv/data/${done + i}`,
            sourceName: `${done + i}`,
          }),
          payload,
        ),
      ),
    );
    done += group;
    if (process.stderr.isTTY) process.stderr.write(`\r${done} jobs`);
  }
  await spool.close();
}

function memory(pid: number): string {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mib = (name: string): number =>
    Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024);
  return ['VmHWM', 'VmRSS', 'RssAnon', 'RssFile'].map((name) => `${name} ${mib(name)} MiB`).join(', ');
}

async function start(): Promise<void> {
  const startedAtMs = performance.now();
  const sinceStart = (): string => `${((performance.now() - startedAtMs) / 1000).toFixed(2)} s`;
  const program = fileURLToPath(new URL('../../bin/incus-uploadd', import.meta.url));
  const args = ['--config', '/dev/null', '--state-dir', stateDir, '--target', 'unix:/nonexistent/incus.sock'];
  const daemon = spawn(
    process.execPath,
    [program, ...args, '--listen', 'http://127.0.0.1:0', '--no-auth', '--log-format', 'json'],
    { stdio: ['ignore', 'inherit', 'pipe'] },
  );
  const exited = once(daemon, 'exit');
  try {
    let address = '';
    let text = '';
    for await (const chunk of daemon.stderr) {
      text += String(chunk);
      address = /"address":"([^"]+)"/.exec(text)?.[1] ?? '';
      if (address !== '') break;
    }
    if (address === '') throw new Error(`The daemon does not listen: ${text}`);
    daemon.stderr.resume();
    console.log(`listening after ${sinceStart()}`);
    const response = await fetch(`${address}/readyz`);
    console.log(`/readyz says ${response.status} after ${sinceStart()}; ${memory(daemon.pid ?? 0)}`);
    const info = (await (await fetch(`${address}/v1/info`)).json()) as { jobs: Record<string, number> };
    console.log(JSON.stringify(info.jobs));
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    console.log(`10 s later: ${memory(daemon.pid ?? 0)}`);
  } finally {
    daemon.kill('SIGTERM');
    await exited;
  }
}

try {
  if (!existsSync(join(stateDir, 'journal'))) {
    const startedAtMs = performance.now();
    await fill(Number(jobs), Number(bytes));
    console.log(
      `${jobs} jobs of ${bytes} bytes in ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s`,
    );
  }
  await start();
} finally {
  if (given === undefined) rmSync(stateDir, { recursive: true, force: true });
}
