import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { takeOwnership } from '../../src/spool/owner.ts';
import { makeDirectory } from './spool-builder.ts';

const OWNER = fileURLToPath(new URL('../../src/spool/owner.ts', import.meta.url));

test('takeOwnership() is refused while this process has the directory', async (t) => {
  const directory = await makeDirectory(t);
  const release = await takeOwnership(directory);
  await assert.rejects(takeOwnership(directory), {
    code: 'config_invalid',
    message: /^Another incus-uploadd uses /,
  });
  await release();
  await (await takeOwnership(directory))();
});

test('takeOwnership() is refused while another process lives, and not after it was killed', async (t) => {
  const directory = await makeDirectory(t);
  const script = `const { takeOwnership } = await import(${JSON.stringify(OWNER)});
    await takeOwnership(${JSON.stringify(directory)});
    process.stdout.write('taken');
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  await once(child.stdout, 'data');
  await assert.rejects(takeOwnership(directory), { code: 'config_invalid' });
  child.kill('SIGKILL');
  await exited;
  await (await takeOwnership(directory))();
});

test('takeOwnership() says what is missing where there is no flock', async (t) => {
  const directory = await makeDirectory(t);
  const path = process.env.PATH;
  t.after(() => {
    process.env.PATH = path;
  });
  process.env.PATH = directory;
  await assert.rejects(takeOwnership(directory), { code: 'config_invalid', message: /install util-linux/ });
  // A lock program that fails for another reason is not taken for another owner.
  mkdirSync(join(directory, 'bin'));
  writeFileSync(join(directory, 'bin', 'flock'), '#!/bin/sh\nexit 71\n');
  chmodSync(join(directory, 'bin', 'flock'), 0o755);
  process.env.PATH = join(directory, 'bin');
  await assert.rejects(takeOwnership(directory), { message: /flock ended with status 71/ });
});
