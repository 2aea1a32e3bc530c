import { cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url));

/** Copies the built daemon, so that a build during a long run changes nothing; returns its launcher. */
export function copyProgram(directory: string): string {
  const built = join(CHECKOUT, 'dist/daemon/main.js');
  if (!existsSync(built)) throw new Error('There is no dist/: run npm run build first');
  mkdirSync(directory, { recursive: true });
  for (const name of ['bin', 'dist', 'package.json']) {
    cpSync(join(CHECKOUT, name), join(directory, name), { recursive: true });
  }
  symlinkSync(join(CHECKOUT, 'node_modules'), join(directory, 'node_modules'));
  return join(directory, 'bin/incus-uploadd');
}
