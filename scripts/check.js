// npm run check: types, format, lint and shell scripts. Runs all of them, then fails if one did.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureInstalled, root, run } from './prepare.js';

ensureInstalled();
const bin = (name) => join(root, 'node_modules', '.bin', name);
const failed = [];

function step(name, program, args) {
  console.error(`check: ${name}`);
  if (run(program, args) !== 0) failed.push(name);
}

step('types', bin('tsc'), ['--noEmit', '-p', 'tsconfig.test.json']);
step('format and lint', bin('biome'), ['ci', `--colors=${process.stdout.isTTY ? 'force' : 'off'}`]);
checkShellScripts();
if (failed.length > 0) {
  console.error(`check: failed: ${failed.join(', ')}`);
  process.exit(1);
}

function checkShellScripts() {
  if (spawnSync('shellcheck', ['--version']).error === undefined) {
    step('shell scripts', 'shellcheck', shellScripts());
    return;
  }
  console.error('check: shell scripts not checked, because shellcheck is not installed');
  if (process.env.CI === 'true') failed.push('shell scripts');
}

function shellScripts() {
  return ['.ci', 'bin', 'packaging/deb', 'scripts']
    .flatMap((folder) =>
      readdirSync(join(root, folder), { withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(folder, entry.name)),
    )
    .filter((file) => /^#!.*\b(?:ba|da)?sh\b/.test(readFileSync(join(root, file), 'utf8')));
}
