/** The man pages say what the programs take. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fileKey, OPTIONS } from '../src/daemon/config-options.ts';

const MAN = fileURLToPath(new URL('../man/', import.meta.url));
const MAIN = fileURLToPath(new URL('../src/daemon/main.ts', import.meta.url));

/** The source of a page with the escapes of its dashes and fonts taken away. */
function readPage(name: string): string {
  return readFileSync(MAN + name, 'utf8')
    .replaceAll('\\-', '-')
    .replaceAll(/\\f[A-Z]/g, '');
}

test('incus-uploadd(8) has every option of --help, and no other', () => {
  const { stdout } = spawnSync(process.execPath, ['--import', 'tsx', MAIN, '--help'], { encoding: 'utf8' });
  const token = spawnSync(process.execPath, ['--import', 'tsx', MAIN, 'token', 'add', '--help'], {
    encoding: 'utf8',
  });
  const inHelp = new Set(
    Array.from((stdout + token.stdout).matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm), ([, name]) => name),
  );
  assert.ok(inHelp.size > OPTIONS.length);
  const inPage = new Set(
    Array.from(readPage('incus-uploadd.8').matchAll(/--[a-z][a-z-]+/g), ([name]) => name),
  );
  inPage.delete('--json');
  inPage.delete('--repair');
  inPage.delete('--now');
  assert.deepEqual([...inPage].sort(), [...inHelp].sort());
});

test('incus-uploadd.yml(5) has every key', () => {
  const page = readPage('incus-uploadd.yml.5');
  const keys = page.slice(page.indexOf('.SH KEYS'), page.indexOf('.SH EXAMPLE'));
  for (const { name } of OPTIONS) assert.match(keys, new RegExp(`^\\.BR? .*\\b${fileKey(name)}\\b`, 'm'));
});

const noGroff = spawnSync('groff', ['--version']).error !== undefined && 'needs groff';

for (const page of readdirSync(MAN)) {
  test(`${page} is clean`, { skip: noGroff }, () => {
    for (const tables of [[], ['-t']]) {
      const { status, stderr } = spawnSync('groff', [...tables, '-ww', '-z', '-man', '-Tutf8', MAN + page], {
        encoding: 'utf8',
      });
      assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
    }
  });
}
