/** The units of systemd/ as systemd itself reads them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const UNITS = fileURLToPath(new URL('../systemd/', import.meta.url));
const LAUNCHER = fileURLToPath(new URL('../bin/incus-uploadd', import.meta.url));
const INSTALLED = '/usr/bin/incus-uploadd';

const noSystemd = spawnSync('systemd-analyze', ['--version']).error !== undefined && 'needs systemd-analyze';

test('systemd-analyze verify has nothing to say', { skip: noSystemd }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'incus-upload-units-'));
  try {
    const units = readdirSync(UNITS).map((unit) => {
      const text = readFileSync(UNITS + unit, 'utf8').replaceAll(INSTALLED, LAUNCHER);
      const path = join(directory, unit);
      writeFileSync(path, text);
      return path;
    });
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...units], {
      encoding: 'utf8',
    });
    assert.deepEqual({ status, said: stdout + stderr }, { status: 0, said: '' });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('the sandbox of incus-uploadd.service leaves little exposed', { skip: noSystemd }, () => {
  const { stdout } = spawnSync(
    'systemd-analyze',
    ['security', '--offline=true', '--no-pager', '--threshold=15', `${UNITS}incus-uploadd.service`],
    { encoding: 'utf8' },
  );
  const exposure = /Overall exposure level for incus-uploadd.service: ([\d.]+)/.exec(stdout)?.[1];
  assert.ok(Number(exposure) <= 1.5, `exposure ${exposure}, expected 1.5 or less\n${stdout}`);
});
test('incus-uploadd.service leaves V8 what it needs', () => {
  const service = readFileSync(`${UNITS}incus-uploadd.service`, 'utf8');
  assert.match(service, /^SystemCallFilter=@system-service @pkey$/m, 'V8 calls pkey_alloc');
  assert.doesNotMatch(service, /^MemoryDenyWriteExecute=/m);
});

test('incus-uploadd.service lets systemd-notify speak for the daemon', () => {
  const service = readFileSync(`${UNITS}incus-uploadd.service`, 'utf8');
  assert.match(service, /^Type=notify$/m);
  assert.match(service, /^NotifyAccess=all$/m);
});
