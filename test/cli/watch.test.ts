/** `jobs --watch` on a real terminal, against a real daemon, and where its state has to be held still a small one. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { displayWidth } from '../../src/cli/display-width.ts';
import { diskProblem, mountDisk } from '../spool/small-disk.ts';
import { type BuiltClient, buildClient } from '../support/built-client.ts';
import { type FakeDaemon, startFakeDaemon } from '../support/fake-daemon.ts';
import { startDaemon } from '../support/programs.ts';
import { skipUnless } from '../support/skip-unless.ts';
import { createTerminal, type Terminal } from '../support/terminal.ts';

const onTmux = skipUnless('tmux');
const onTmuxAndDisk = { skip: onTmux.skip || diskProblem('tmpfs') };
const ESCAPE = '\u001b';
const HELP = /^↑↓ select {2}c cancel {2}r retry {2}q leave$/m;

let client: BuiltClient;
let terminal: Terminal;
let url = '';

before(async () => {
  client = await buildClient();
  terminal = createTerminal(client, () => url);
  writeFileSync(join(client.directory, 'file'), 'hello');
  writeFileSync(join(client.directory, 'large'), Buffer.alloc(300_000));
});
after(() => {
  client.remove();
  terminal.remove();
});
afterEach(() => terminal.end());

async function push(...args: string[]): Promise<string> {
  const { stdout, stderr } = await client.run(['push', '-q', ...args], {
    env: { INCUS_UPLOAD_URL: url },
    cwd: client.directory,
  });
  assert.equal(stderr, '');
  return stdout.trim();
}

const key = (...keys: string[]): Promise<string> => terminal.tmux('send-keys', ...keys);
/** The row that is drawn inverse: the one that the keys act on. */
async function chosenLine(): Promise<string> {
  const painted = await terminal.tmux('capture-pane', '-p', '-e');
  return (
    painted
      .split(new RegExp(`${ESCAPE}\\[(?:\\d+;)*7m`))[1]
      ?.split(ESCAPE)[0]
      ?.trimEnd() ?? ''
  );
}

async function untilChosen(pattern: RegExp): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if (pattern.test(await chosenLine())) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.match(await chosenLine(), pattern);
}

/** The shell's own screen is back, with its cursor. */
async function left(status: number): Promise<void> {
  const text = await terminal.screenWith(new RegExp(`^status ${status}$`, 'm'));
  assert.doesNotMatch(text, /select|INSTANCE/);
  assert.equal((await terminal.tmux('display', '-p', '#{cursor_flag} #{alternate_on}')).trim(), '1 0');
  // What is typed is echoed again.
  await terminal.type('echo "on" again');
  await terminal.screenWith(/^\$ echo "on" again\non again$/m);
}

/** Every line fits, and the keys stand in the last row. */
function assertFits(text: string, columns: number): void {
  const lines = text.trimEnd().split('\n');
  assert.ok(
    lines.every((line) => displayWidth(line) < columns),
    text,
  );
  assert.match(lines.at(-1) ?? '', HELP);
}

test('jobs --watch shows a real queue at every width, and cancels and retries', onTmuxAndDisk, async (t) => {
  const disk = mountDisk(t, 'tmpfs', 65_536);
  const instances = dirname(disk);
  mkdirSync(join(instances, 'web'));
  const daemon = await startDaemon({
    target: `dir:${instances}`,
    args: ['--retry-min-delay', '10m', '--retry-max-delay', '20m'],
  });
  t.after(() => daemon.close());
  url = `unix:${daemon.socketPath}`;
  await push('file', 'web:/srv/one');
  const failed = await push('--no-create-dirs', 'file', 'web:/none/two');
  for (const path of ['/three', '/four']) await push('large', `mnt:${path}`);
  for (const columns of [80, 40, 200]) {
    await terminal.open(columns);
    await terminal.type('i jobs --watch; echo "status $?"');
    const text = await terminal.screenWith(/deferred \d+m(?:\d+s)? [\s\S]*leave$/m);
    assertFits(text, columns);
    assert.match(text, /^\d+\.\d jobs\/s {2}\S+ \S*B\/s/m);
    assert.match(text.replaceAll('\n', '  '), /queued 0 .*deferred 2 .*delivered 1 .*failed 1 /);
    assert.match(text, /^INSTANCE +RUNNING +QUEUED +DEFERRED\nmnt +0 +0 +2$/m);
    if (columns === 40) assert.match(text, /^STATE +INSTANCE +PATH( +TRIES)?$/m);
    if (columns === 80) assert.match(text, /^ID +AGE +STATE +INSTANCE +PATH +SIZE +TRIES$/m);
    if (columns === 200) assert.match(text, /^\w{11} .* failed .*1\/10 {2}parent_missing: Cannot write/m);
    // What the table has no room for stands at the foot, of the job that is chosen.
    await key('G', 'k');
    await untilChosen(/failed/);
    await terminal.screenWith(new RegExp(`^${failed} web:/none/two: parent_m`, 'm'));
    await key('q');
    await left(0);
    await terminal.end();
  }

  await terminal.open(80);
  await terminal.type('i jobs --watch; echo "status $?"');
  // The back-off is jittered, and the next one to be tried stands first.
  const waiting = (await daemon.jobs('?state=deferred')).sort((a, b) =>
    `${a.next_attempt_at}` < `${b.next_attempt_at}` ? -1 : 1,
  );
  const [first = '', second = ''] = waiting.map(({ id }) => id);
  const secondPath = waiting[1]?.path ?? '';
  await untilChosen(new RegExp(`^${first}.*deferred`));
  await key('Down');
  await untilChosen(new RegExp(`^${second}.*deferred`));
  await key('c');
  await terminal.screenWith(new RegExp(`^Cancel ${second} mnt:${secondPath}\\? y/n$`, 'm'));
  await key('n');
  await terminal.screenWith(HELP);
  assert.equal((await daemon.jobs('?state=deferred')).length, 2);
  await key('c', 'y');
  await terminal.screenWith(new RegExp(`^${second} cancelled$`, 'm'));
  assert.deepEqual(
    (await daemon.jobs('?state=cancelled')).map(({ id }) => id),
    [second],
  );
  await key('c');
  await terminal.screenWith(new RegExp(`^${second} is over already: cancelled$`, 'm'));
  await key('r');
  await terminal.screenWith(new RegExp(`^Job ${second} cannot be retried: it was cancelled, and`, 'm'));
  await key('g');
  await untilChosen(new RegExp(`^${first}.*deferred .*1/10$`));
  await key('r');
  await untilChosen(new RegExp(`^${first}.*deferred .*2/10$`));
  // Another size while it runs.
  await terminal.tmux('resize-window', '-x', '40', '-y', '12');
  assertFits(await terminal.screenWith(/^STATE[\s\S]*leave$/m), 40);
  await terminal.tmux('resize-window', '-x', '120', '-y', '30');
  assertFits(await terminal.screenWith(/TRIES {2}REASON[\s\S]*leave$/m), 120);
  await key('C-c');
  await left(130);
});

test('jobs --watch shows changes as they happen, and outlives the daemon', onTmux, async (t) => {
  const instances = mkdtempSync(join(tmpdir(), 'incus-upload-watch-'));
  t.after(() => rmSync(instances, { recursive: true }));
  mkdirSync(join(instances, 'web'));
  const daemon = await startDaemon({ target: `dir:${instances}` });
  t.after(() => daemon.close());
  url = `unix:${daemon.socketPath}`;
  await terminal.open(80);
  await terminal.type('i jobs --watch; echo "status $?"');
  await terminal.screenWith(/^no jobs$[\s\S]*leave$/m);
  const id = await push('large', 'web:/srv/one');
  await terminal.screenWith(new RegExp(`^${id} .* delivered +web +/srv/one`, 'm'));
  await terminal.screenWith(/^0\.\d jobs\/s {2}[\d.]+ KiB\/s/m);
  await daemon.kill();
  await terminal.screenWith(/^(?:Cannot reach the daemon|The daemon at) .*\n/m);
  await daemon.start();
  const later = await push('file', 'web:/srv/two');
  const text = await terminal.screenWith(new RegExp(`^${later} .* delivered`, 'm'));
  assert.match(text, new RegExp(`^${id} .* delivered`, 'm'));
  await terminal.screenWith(/^queued 0 .*delivered 2/m);
  assert.doesNotMatch(await terminal.screen(), /Cannot reach/);
  for (const signal of ['TERM', 'HUP']) {
    await terminal.type('q');
    await left(0);
    await terminal.type(`clear; (sleep 1; pkill -${signal} -P $$ node) & i jobs --watch; echo "status $?"`);
    await left(130);
    await terminal.type('i jobs --watch; echo "status $?"');
    await terminal.screenWith(HELP);
  }
});

let fake: FakeDaemon;
beforeEach(async () => {
  fake = await startFakeDaemon(join(client.directory, 'socket'));
});
afterEach(() => fake.close());

test('jobs --watch shows deliveries with their progress, and scrolls', onTmux, async () => {
  ({ url } = fake);
  const ids: string[] = [];
  for (let i = 0; i < 30; i += 1) ids.push(await push('large', `web:/srv/number-${i}`));
  const [first = ''] = ids;
  fake.update(first, { state: 'delivering', attempts: 1, bytesDelivered: 100_000 });
  await terminal.open(200);
  await terminal.type('i jobs --watch; echo "status $?"');
  await terminal.screenWith(new RegExp(`^${first} .* delivering 33% +web .* 1/10  97.7 KiB so far$`, 'm'));
  fake.update(first, { bytesDelivered: 240_000 });
  await terminal.screenWith(/delivering 80%/);
  await terminal.screenWith(/^web +1 +29 +0$/m);
  await key('G');
  await untilChosen(new RegExp(`^${ids.at(-1)} `));
  assert.doesNotMatch(await terminal.screen(), new RegExp(first));
  await key('PPage', 'PPage', 'PPage');
  await untilChosen(new RegExp(`^${first} `));
  // The key acts on the job, wherever that went meanwhile.
  fake.update(first, {
    state: 'failed',
    finishedAt: 1,
    error: { code: 'timed_out', message: 'No.', retryable: true },
  });
  await untilChosen(new RegExp(`^${first} .*failed`));
  await key('q');
  await left(0);
});

test('jobs --watch needs a terminal and a daemon', onTmux, async () => {
  url = 'unix:/nonexistent/socket';
  await terminal.open(80);
  await terminal.type('i jobs --watch; echo "status $?"');
  await terminal.screenWith(/^incus-upload: Cannot reach the daemon[\s\S]*^status 69$/m);
  await terminal.type('TERM=dumb i jobs --watch; echo "status $?"');
  await terminal.screenWith(/^incus-upload: --watch needs a terminal[\s\S]*^status 64$/m);
});
