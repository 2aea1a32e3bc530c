/** Runs the built client as somebody who is neither root nor in any group. */
import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type BuiltClient, cleanEnvironment, type Ended } from './built-client.ts';

const NOBODY = 65534;

/** For the `skip` of a test: becoming somebody else needs root. */
export const needsRoot = process.getuid?.() !== 0 && 'needs root, to become somebody else';

export function runAsNobody(client: BuiltClient, args: readonly string[]): Promise<Ended> {
  const { directory, program } = client;
  // Nobody else's eyes need reach into the checkout.
  const manifest = join(directory, 'package.json');
  const real = realpathSync(manifest);
  if (real !== manifest) {
    rmSync(manifest);
    copyFileSync(real, manifest);
  }
  chmodSync(directory, 0o755);
  return new Promise((resolve, reject) => {
    const child = spawn(
      'setpriv',
      [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', process.execPath, program, ...args],
      {
        cwd: '/',
        env: cleanEnvironment(),
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (text: Buffer) => {
      stdout += text;
    });
    child.stderr.on('data', (text: Buffer) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, stdout, stderr }));
  });
}
