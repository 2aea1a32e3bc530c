/** The examples of incus-upload(1), exactly as they stand there, run by bash against a real daemon. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cleanEnvironment, type Ended } from '../support/built-client.ts';
import { manExamples } from '../support/man-examples.ts';
import { type Daemon, startDaemon } from '../support/programs.ts';
import { skipUnless } from '../support/skip-unless.ts';

const withTools = skipUnless('bash', 'jq', 'git', 'xargs');
const LAUNCHER = fileURLToPath(new URL('../../bin/incus-upload', import.meta.url));

let place: string;
let instances: string;
let here: string;
let daemon: Daemon;
const notRun = new Set(manExamples());

before(async () => {
  place = mkdtempSync(join(tmpdir(), 'incus-upload-examples-'));
  instances = join(place, 'instances');
  here = join(place, 'here');
  for (const name of ['web', 'repo', 'web-1', 'web-2']) mkdirSync(join(instances, name), { recursive: true });
  for (const name of ['bin', 'here/site/css', 'here/site/.git'])
    mkdirSync(join(place, name), { recursive: true });
  symlinkSync(LAUNCHER, join(place, 'bin', 'incus-upload'));
  writeFileSync(join(here, 'app.tar'), 'an app');
  for (const name of ['a', 'b', 'c']) writeFileSync(join(here, `${name}.deb`), name);
  for (const name of ['index.html', 'css/x.css', 'access.log', '.git/config'])
    writeFileSync(join(here, 'site', name), name);
  daemon = await startDaemon({ target: `dir:${instances}` });
});
after(async () => {
  await daemon.close();
  rmSync(place, { recursive: true, force: true });
});

function bash(script: string): Promise<Ended> {
  const env = {
    ...cleanEnvironment(),
    PATH: `${join(place, 'bin')}:${process.env.PATH}`,
    INCUS_UPLOAD_URL: `unix:${daemon.socketPath}`,
  };
  return new Promise((resolve, reject) => {
    const child = spawn('bash', ['-euo', 'pipefail', '-c', script], { cwd: here, env, stdio: 'pipe' });
    child.stdin.end();
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

/** The one example that has these words; it ends well unless another status is expected. */
async function run(words: string, wanted = 0): Promise<Ended> {
  const [example = '', ...others] = manExamples().filter((text) => text.includes(words));
  assert.ok(example !== '' && others.length === 0, words);
  notRun.delete(example);
  const ended = await bash(example);
  assert.equal(ended.status, wanted, `${example}\n${ended.stdout}${ended.stderr}`);
  return ended;
}

const delivered = (...path: string[]): string => readFileSync(join(instances, ...path), 'utf8');

test('push, go on, and show', withTools, async () => {
  const { stdout } = await run('show "$id"');
  assert.match(stdout, /^Job: +\w{11}\nState: +\w+\nDestination: +web:\/opt\/app\.tar$/m);
});

test('push, wait and say how it went', withTools, async () => {
  assert.match((await run('--wait --timeout 2m')).stdout, /^delivered$/m);
  assert.equal(delivered('web', 'opt', 'app.tar'), 'an app');
  rmSync(join(instances, 'web'), { recursive: true });
  assert.match((await run('--wait --timeout 2m')).stdout, /^the instance did not take it$/m);
});

test('try again what failed', withTools, async () => {
  mkdirSync(join(instances, 'web'));
  assert.match((await run('instance_not_found')).stdout, /delivered web:\/opt\/app\.tar/);
  assert.equal(delivered('web', 'opt', 'app.tar'), 'an app');
  // There is nothing left to do.
  assert.equal((await run('instance_not_found')).stdout, '');
});

test('push many at once, and wait for all of them', withTools, async () => {
  const { stdout } = await run('./*.deb');
  assert.equal(stdout.match(/ delivered repo:\/srv\/incoming\//g)?.length, 3, stdout);
  for (const name of ['a', 'b', 'c']) assert.equal(delivered('repo', 'srv', 'incoming', `${name}.deb`), name);
  rmSync(join(instances, 'repo'), { recursive: true });
  await run('./*.deb', 123);
  mkdirSync(join(instances, 'repo'));
});

test('push to many instances, and wait for the batch', withTools, async () => {
  await run('batch=');
  for (const name of ['web-1', 'web-2']) assert.equal(delivered(name, 'opt', 'app.tar'), 'an app');
});

test('push a directory, and what another program packs', withTools, async () => {
  await run('--exclude .git');
  assert.equal(delivered('web', 'srv', 'site', 'css', 'x.css'), 'css/x.css');
  assert.ok(!existsSync(join(instances, 'web', 'srv', 'site', 'access.log')));
  assert.ok(!existsSync(join(instances, 'web', 'srv', 'site', '.git')));
  const identity = '-c user.name=a -c user.email=a@example.org';
  const made = await bash(`git init -q . && git add site/index.html && git ${identity} commit -qm x`);
  assert.equal(made.status, 0, made.stderr);
  await run('git archive');
  await daemon.untilIdle();
  assert.equal(delivered('web', 'opt', 'app', 'site', 'index.html'), 'index.html');
});

test('complete in bash', withTools, async () => {
  await run('completion bash');
});

test('only the example that needs another machine was not run', withTools, () => {
  assert.equal(notRun.size, 1, [...notRun].join('\n'));
  assert.match([...notRun][0] ?? '', /^fingerprint=\$\(ssh lab /);
});
