import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { OPTIONS } from '../../src/daemon/config-options.ts';

const MAIN = fileURLToPath(new URL('../../src/daemon/main.ts', import.meta.url));

function uploadd(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['--import', 'tsx', MAIN, ...args], { encoding: 'utf8' });
}

test('--version prints the version of the package', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const { status, stdout } = uploadd('--version');
  assert.deepEqual([status, stdout], [0, `${version}\n`]);
});

test('--help names every option', () => {
  const { status, stdout } = uploadd('--help');
  assert.equal(status, 0);
  for (const { name } of OPTIONS) assert.match(stdout, new RegExp(`--${name}\\b`));
});

test('check prints every option with its value and its origin', () => {
  const { status, stdout } = uploadd('check', '--config', '/dev/null', '--concurrency', '3');
  assert.equal(status, 0);
  assert.match(stdout, /^concurrency +3 +--concurrency$/m);
  assert.match(stdout, /^retention +7d +default$/m);
  assert.equal(stdout.split('\n').length - 1, OPTIONS.length);
});

test('check --json prints one object', () => {
  const { stdout } = uploadd(
    'check',
    '--json',
    '--config',
    '/dev/null',
    '--listen',
    'unix:/a',
    '--listen',
    'unix:/b',
  );
  const settings = JSON.parse(stdout);
  assert.deepEqual(settings.listen, { value: ['unix:/a', 'unix:/b'], origin: '--listen' });
  assert.deepEqual(settings.max_attempts, { value: '10', origin: 'default' });
});

test('a wrong configuration ends with status 78 and one line', () => {
  for (const command of [['check'], ['serve'], []]) {
    const { status, stdout, stderr } = uploadd(...command, '--config', '/dev/null', '--concurrency', '0');
    assert.equal(status, 78);
    assert.equal(stdout, '');
    assert.equal(stderr, 'incus-uploadd: --concurrency: expected a whole number from 1 to 1024, got "0"\n');
  }
});

test('a wrong command line ends with status 64 and one line', () => {
  const cases: [string[], RegExp][] = [
    [['--listne', 'x'], /^incus-uploadd: unknown option '--listne' \(Did you mean --listen\?\)\n$/],
    [['sevre'], /^incus-uploadd: unexpected argument "sevre"; see --help\n$/],
    [['--concurrency'], /^incus-uploadd: option '--concurrency <N>' argument missing\n$/],
  ];
  for (const [args, line] of cases) {
    const { status, stderr } = uploadd(...args);
    assert.equal(status, 64);
    assert.match(stderr, line);
  }
});
