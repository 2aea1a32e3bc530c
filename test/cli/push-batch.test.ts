/** One file for several instances: the built programs, on a `dir:` target. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Daemon, type Ran, runClient, startDaemon } from '../support/programs.ts';

let directory: string;
let daemon: Daemon;
let file: string;
before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'iu-push-batch-'));
  for (const name of ['web-1', 'web-2', 'web-3', 'db'])
    mkdirSync(join(directory, 'instances', name), { recursive: true });
  file = join(directory, 'app.bin');
  writeFileSync(file, Buffer.alloc(300_000, 'app'));
  daemon = await startDaemon({ target: `dir:${join(directory, 'instances')}`, args: ['--linger', '0s'] });
});
after(async () => {
  await daemon.close();
  rmSync(directory, { recursive: true, force: true });
});

const run = (...args: string[]): Promise<Ran> => runClient(daemon, args);
const linesOf = ({ stdout }: Ran): string[] => stdout.trimEnd().split('\n');
const delivered = (instance: string, path: string): Buffer =>
  readFileSync(join(directory, 'instances', instance, path));

/** Pushes, and resolves to the id of the batch. */
async function batchOf(...args: string[]): Promise<string> {
  const ran = await run('push', '--json', ...args);
  return JSON.parse(linesOf(ran)[0] ?? '').batch;
}

test('push with a pattern prints a line for each job, and says the batch', async () => {
  const { status, stdout, stderr } = await run('push', '--wait', file, 'web-*:/opt/app.bin');
  assert.equal(status, 0, stderr);
  assert.match(
    stdout,
    /^(\w{11}) queued web-1:\/opt\/app\.bin \(293\.0 KiB, next in line\)\n\w{11} queued web-2:.*\n\w{11} queued web-3:.*\n$/,
  );
  assert.match(stderr, /app\.bin: queued as b-\w{11} for 3 destinations\n/);
  for (const name of ['web-1', 'web-2', 'web-3']) {
    assert.match(stderr, new RegExp(`^${name}: delivered to ${name}:/opt/app\\.bin `, 'm'));
    assert.ok(delivered(name, 'opt/app.bin').equals(readFileSync(file)));
  }
  assert.deepEqual(readdirSync(join(daemon.stateDir, 'payloads')), []);
});

test('push -q prints ids alone, push --json the jobs with their batch', async () => {
  const quiet = await run('push', '-q', file, 'web-1,db:/opt/');
  assert.match(quiet.stdout, /^\w{11}\n\w{11}\n$/);
  assert.equal(quiet.stderr, '');
  const json = linesOf(await run('push', '--json', '--wait', file, 'web-1,db:/opt/')).map((line) =>
    JSON.parse(line),
  );
  assert.deepEqual(json.map(({ instance, state }) => `${instance} ${state}`).sort(), [
    'db delivered',
    'web-1 delivered',
  ]);
  assert.equal(new Set(json.map(({ batch }) => batch)).size, 1);
});

test('--to gives further destinations with paths of their own; every operand is a source', async () => {
  const other = join(directory, 'other.bin');
  writeFileSync(other, 'other');
  const { status, stderr } = await run(
    'push',
    '-w',
    '--to',
    'web-1:/a/',
    '--to',
    'db,web-2:/b/',
    file,
    other,
  );
  assert.equal(status, 0, stderr);
  for (const [name, path] of [
    ['web-1', 'a'],
    ['db', 'b'],
    ['web-2', 'b'],
  ] as const) {
    assert.equal(delivered(name, `${path}/other.bin`).toString(), 'other');
    assert.equal(delivered(name, `${path}/app.bin`).length, 300_000);
  }
  const single = await run('push', '-w', '--json', '--to', 'db:/single', file);
  assert.equal(JSON.parse(single.stdout).batch, null);
});

test('push says what is wrong with its destinations', async () => {
  for (const [args, status, message] of [
    [[file, ':/x'], 64, /names no instance; expected INSTANCE:\/path, or --all-with/],
    [[file, 'web_*:/x'], 64, /Not a pattern of instance names/],
    [
      ['--to', 'db:/x', file, 'web-1:/x'],
      64,
      /every operand is a source.*a further destination is --to web-1:\/x/,
    ],
    [
      ['--all-with', 'user.role=web', file, 'web-1:/x'],
      64,
      /--all-with user\.role=web chooses among instances/,
    ],
    [['--all-with', 'role', file, '*:/x'], 64, /expected KEY=VALUE/],
    [['--to', 'db:/x', file, file], 64, /Several sources need a directory/],
    [[file, 'no-*:/x'], 76, /No instance of project default matches no-\*; see: incus-upload instances/],
    [['--all-with', 'user.role=web', file, ':/x'], 76, /are directories and have no configuration/],
  ] as const) {
    const ran = await run('push', ...args);
    assert.equal(ran.status, status, ran.stderr);
    assert.match(ran.stderr, message);
    assert.equal(ran.stdout, '');
  }
});

test('push --wait and wait exit with 1 and a table when some jobs came to nothing', async () => {
  const pushed = await run('push', '--wait', file, 'web-1,missing-1,missing-2:/opt/f');
  assert.equal(pushed.status, 1);
  const batch = /queued as (b-\w{11})/.exec(pushed.stderr)?.[1] ?? '';
  const waited = await run('wait', batch);
  assert.equal(waited.status, 1);
  assert.match(waited.stdout, /^\w{11} delivered web-1:/m);
  for (const { stderr } of [pushed, waited]) {
    assert.match(
      stderr,
      /^ID +INSTANCE +PATH +STATE +REASON\n(\w{11} +missing-\d +\/opt\/f +failed +instance_not_found: .*\n){2}/m,
    );
    assert.match(
      stderr,
      new RegExp(`: 2 of the 3 jobs of ${batch} came to nothing; .*incus-upload retry ${batch}\\n$`),
    );
  }
  const json = await run('wait', '--json', batch);
  assert.equal(json.status, 1);
  const errors = json.stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).error);
  assert.deepEqual(
    errors.map(({ code }) => code),
    ['instance_not_found', 'instance_not_found'],
  );
});

test('show, retry, cancel and jobs take a batch', async () => {
  const batch = await batchOf(file, 'web-1,later:/opt/retried');
  assert.equal((await run('wait', batch)).status, 1);
  const shown = await run('show', batch);
  assert.match(shown.stdout, new RegExp(`^Batch: +${batch}\nJobs: +2: 1 delivered, 1 failed\n`));
  assert.match(shown.stdout, /failed +later +\/opt\/retried/);
  const object = JSON.parse((await run('show', '--json', batch)).stdout);
  assert.deepEqual([object.batch, object.counts.failed, object.jobs.length], [batch, 1, 2]);

  mkdirSync(join(directory, 'instances/later'));
  const retried = await run('retry', batch);
  assert.equal(retried.status, 0, retried.stderr);
  assert.equal(linesOf(retried).length, 1);
  assert.equal((await run('wait', batch)).status, 0);
  assert.equal(delivered('later', 'opt/retried').length, 300_000);

  for (const [command, why] of [
    ['retry', 'none of its jobs has failed'],
    ['cancel', 'all its jobs are finished'],
  ] as const) {
    const { status, stderr } = await run(command, batch);
    assert.equal(status, 0);
    assert.match(stderr, new RegExp(why));
  }
  const listed = (await run('jobs', '--json', '--batch', batch)).stdout.trimEnd().split('\n');
  assert.deepEqual(new Set(listed.map((line) => JSON.parse(line).batch)), new Set([batch]));
  assert.equal(listed.length, 2);
  const unknown = await run('show', 'b-00000000000');
  assert.equal(unknown.status, 76);
  assert.match(unknown.stderr, /There is no batch b-00000000000; check the id/);
});

test('directories go to several instances as well', async () => {
  const tree = join(directory, 'tree');
  mkdirSync(join(tree, 'below'), { recursive: true });
  for (const name of ['one', 'below/two']) writeFileSync(join(tree, name), name);
  const { status, stderr } = await run('push', '-r', '--wait', tree, 'web-1,web-2:/srv/');
  assert.equal(status, 0, stderr);
  assert.match(stderr, /queued as b-\w{11} for 2 destinations/);
  for (const name of ['web-1', 'web-2'])
    for (const file of ['one', 'below/two'])
      assert.equal(delivered(name, `srv/tree/${file}`).toString(), file);
});
