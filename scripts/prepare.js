// What every script needs on a bare checkout: the packages of package-lock.json, and dist/ built from src/.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs a program in the checkout with our terminal; returns its exit status. */
export function run(program, args, env = {}) {
  const { status, error } = spawnSync(program, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  if (error) console.error(`${program}: ${error.message}`);
  return status ?? 1;
}

export function runOrExit(program, args) {
  const status = run(program, args);
  if (status !== 0) process.exit(status);
}

/** Installs the packages when what is in node_modules is not what package-lock.json says. */
export function ensureInstalled() {
  if (isInstalled()) return;
  console.error('Installing packages with npm ci …');
  runOrExit('npm', ['ci', '--no-audit', '--no-fund']);
}

export function build() {
  runOrExit(process.execPath, ['scripts/build.js']);
}

/** By version, not by time: a checkout touches files without changing them. */
function isInstalled() {
  const wanted = readPackages('package-lock.json');
  const found = readPackages('node_modules/.package-lock.json');
  if (wanted === undefined || found === undefined) return false;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) =>
      path === '' || found[path]?.version === version || (optional === true && found[path] === undefined),
  );
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')).packages;
  } catch {
    return undefined;
  }
}
