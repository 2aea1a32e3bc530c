/** A real daemon in a process of its own, on a free port of the loopback. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { releaseAfter } from '../support/release-after.ts';

const MAIN = fileURLToPath(new URL('../../src/daemon/main.ts', import.meta.url));

export type DaemonProcess = { readonly url: string; readonly child: ChildProcess };

/** Starts it and waits until it listens. It is ended after the test. */
export async function startDaemon(t: TestContext, args: readonly string[]): Promise<DaemonProcess> {
  const child = spawn(
    process.execPath,
    [
      ...['--import', 'tsx', MAIN, '--config', '/dev/null', '--log-format', 'json'],
      ...['--listen', 'http://127.0.0.1:0', '--no-auth', '--shutdown-grace', '1s', ...args],
    ],
    { stdio: ['ignore', 'inherit', 'pipe'] },
  );
  releaseAfter(t, async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  });
  let text = '';
  for (;;) {
    const [chunk] = (await Promise.race([once(child.stderr, 'data'), once(child, 'exit')])) as [unknown];
    if (child.exitCode !== null) throw new Error(`The daemon ended with status ${child.exitCode}: ${text}`);
    text += String(chunk);
    const address = /"address":"([^"]+)"/.exec(text)?.[1];
    if (address === undefined) continue;
    child.stderr.resume();
    return { url: address, child };
  }
}
