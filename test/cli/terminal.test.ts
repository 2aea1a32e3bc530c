import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { type BuiltClient, buildClient } from '../support/built-client.ts';
import { type FakeDaemon, startFakeDaemon } from '../support/fake-daemon.ts';
import { skipUnless } from '../support/skip-unless.ts';
import { createTerminal, type Terminal } from '../support/terminal.ts';

/** The client on a real terminal: tmux is one whose screen can be read. */
const onTmux = skipUnless('tmux');
const SIZE = 4 * 1024 * 1024;
const WIDE_NAME = 'длинное-имя-日本語ファイル-e\u0301tude-with-a-very-long-tail.bin';

let client: BuiltClient;
let daemon: FakeDaemon;
let terminal: Terminal;

before(async () => {
  client = await buildClient();
  terminal = createTerminal(client, () => daemon.url);
  for (const name of ['one.bin', 'two.bin', WIDE_NAME]) {
    writeFileSync(join(client.directory, name), Buffer.alloc(SIZE));
  }
  mkdirSync(join(client.directory, 'tree'));
  for (let i = 0; i < 1200; i += 1) writeFileSync(join(client.directory, 'tree', `${i}`), Buffer.alloc(2000));
});
after(() => {
  client.remove();
  terminal.remove();
});
beforeEach(async () => {
  daemon = await startFakeDaemon(join(client.directory, 'socket'));
});
afterEach(async () => {
  await terminal.end();
  await daemon.close();
});

const openTerminal = (columns: number, env?: string): Promise<void> => terminal.open(columns, env);
const type = (text: string): Promise<void> => terminal.type(text);
const tmux = (...args: string[]): Promise<string> => terminal.tmux(...args);
const screen = (): Promise<string> => terminal.screen();
const screenWith = (pattern: RegExp): Promise<string> => terminal.screenWith(pattern);

for (const columns of [80, 40, 200]) {
  test(`push shows one line while it sends, ${columns} columns wide`, onTmux, async () => {
    daemon.pieceDelayMs = 40;
    await openTerminal(columns);
    await type('i push one.bin web:/x');
    const text = await screenWith(/ [1-9]\d?%.*\/s/);
    const lines = text
      .trimEnd()
      .split('\n')
      .filter((line) => line.includes('%'));
    assert.equal(lines.length, 1, text);
    assert.match(lines[0] ?? '', /e\.bin +\d+% .*[KM]iB.* [\d.]+ [KM]iB\/s/);
    if (columns >= 80) assert.match(lines[0] ?? '', /of 4\.0 MiB .*left/);
    daemon.pieceDelayMs = 0;
    const done = await screenWith(/queued web:\/x/);
    assert.doesNotMatch(done, /%/);
    assert.match(await tmux('display', '-p', '#{cursor_flag}'), /1/);
  });

  test(`push of several shows a line each and a total, ${columns} columns wide`, onTmux, async () => {
    daemon.pieceDelayMs = 60;
    await openTerminal(columns);
    await type(`i push one.bin ${WIDE_NAME} two.bin web:/d/; echo done`);
    const text = await screenWith(/total.* [1-9]\d?%/);
    const lines = text
      .trimEnd()
      .split('\n')
      .filter((line) => line.includes('%'));
    assert.equal(lines.length, 4, text);
    // A line that wrapped would stand on two rows, the second without a percentage.
    const first = text.split('\n').findIndex((line) => line.includes('%'));
    assert.equal(text.trimEnd().split('\n').length, first + 4, text);
    daemon.pieceDelayMs = 0;
    const done = await screenWith(/^done/m);
    assert.doesNotMatch(done, /%/);
  });
}

for (const columns of [80, 40, 200]) {
  test(
    `push --wait shows queue, delivery, back-off and the end, ${columns} columns wide`,
    onTmux,
    async () => {
      await openTerminal(columns);
      daemon.onAccepted = (job) => ({ ahead: job.ahead });
      await type('clear; i push --wait one.bin web:/x');
      /** What is drawn keeps to its one line, below the line of the accepted job. */
      const drawn = async (pattern: RegExp): Promise<void> => {
        const lines = (await screenWith(pattern)).trimEnd().split('\n');
        assert.equal(
          lines.findIndex((line) => pattern.test(line)),
          lines.length - 1,
          lines.join('\n'),
        );
      };
      await drawn(
        columns === 40
          ? /^\S one\.bin: queued as \w{11}, next ?…$/m
          : /one\.bin: queued as \w{11}, next in line$/m,
      );
      const id = [...daemon.jobs.keys()][0] ?? '';
      daemon.update(id, { state: 'delivering', attempts: 1 });
      await drawn(/one\.bin: delivering, attempt 1 of 10$/m);
      daemon.update(id, { bytesDelivered: SIZE / 2 });
      await drawn(
        columns === 40 ? /one\.bin +50% 2\.0 MiB/ : /one\.bin +delivering +50% {2}2\.0 MiB of 4\.0 MiB/,
      );
      daemon.update(id, {
        state: 'deferred',
        nextAttemptAt: Date.now() + 60_000,
        error: {
          code: 'connection_lost',
          message: 'The connection to the instance was lost.',
          retryable: true,
        },
      });
      await drawn(/one\.bin: next try in 5\ds, attempt 1 /);
      if (columns > 40) await drawn(/attempt 1 of 10 failed: The connection/);
      daemon.update(id, { state: 'delivered', attempts: 2 });
      // Without the ends of lines, as the last line stays and may be folded.
      await screenWith(/^\$ *$/m);
      const text = (await screen()).replaceAll('\n', '');
      assert.match(text, /\w{11} queued web:\/x \(4\.0 MiB, next in line\)/);
      assert.match(text, /✔ one\.bin: delivered to web:\/x \(sent in ?.*s, delivered .*s later\)/);
      assert.doesNotMatch(text, /%|next try/);
      assert.match(await tmux('display', '-p', '#{cursor_flag}'), /1/);
    },
  );
}

test('push tells when it tries again, while the daemon is busy', onTmux, async () => {
  daemon.refusals.push({ code: 'queue_full', retryAfter: '2' });
  await openTerminal(40);
  await type('i push one.bin web:/x; echo "status $?"');
  await screenWith(/^\S one\.bin: next try in [12]\.\ds: The qu.*…$/m);
  await screenWith(/^status 0$/m);
});

test('push leaves a clean line and the cursor after Ctrl-C', onTmux, async () => {
  daemon.pieceDelayMs = 200;
  await openTerminal(80);
  await type('i push one.bin web:/x; echo "status $?"');
  await screenWith(/one\.bin +\d+%/);
  await tmux('send-keys', 'C-c');
  const text = await screenWith(/status 130/);
  assert.match(text, /^incus-upload: Interrupted; one\.bin was not accepted\nstatus 130$/m);
  assert.doesNotMatch(text, /%/);
  assert.match(await tmux('display', '-p', '#{cursor_flag}'), /1/);
});

test('push keeps to the terminal when that becomes narrower', onTmux, async () => {
  daemon.pieceDelayMs = 100;
  await openTerminal(100);
  await type(`seq 3; i push one.bin ${WIDE_NAME} web:/d/`);
  await screenWith(/total.* [1-9]\d?%/);
  await tmux('resize-window', '-x', '40', '-y', '24');
  await screenWith(/total +\d+% [\d.]+ [KM]iB [\d.]+/);
  // What tmux pushed into its history when it folded the lines is out of reach; the screen itself is clean.
  const drawn = (await screen())
    .trimEnd()
    .split('\n')
    .filter((line) => !/^(?:\$.*|\S*語.*|in web.*|\d)$/.test(line));
  assert.equal(drawn.length, 3, drawn.join('\n'));
  assert.ok(
    drawn.every((line) => line.includes('%')),
    drawn.join('\n'),
  );
});

test('push keeps what it draws out of the history of the terminal', onTmux, async () => {
  daemon.pieceDelayMs = 50;
  await openTerminal(80);
  // Below a screen that was cleared, the lines begin in its corner when the command line is gone.
  await type('clear; (sleep 0.2; tput cup 0 0) & i push one.bin two.bin web:/d/ > /dev/null');
  await screenWith(/total.* [3-9]\d%/);
  assert.match(await tmux('display', '-p', '#{history_size}'), /^0\n/);
});

test('push - shows bytes and rate of what has no known length', onTmux, async () => {
  daemon.pieceDelayMs = 40;
  await openTerminal(40);
  await type('cat one.bin two.bin | i push - web:/x; echo "status $?"');
  const text = await screenWith(/^\S standard input +[\d.]+ [KM]iB +[\d.]+ [KM]iB\/s$/m);
  assert.doesNotMatch(text, /%|left/);
  daemon.pieceDelayMs = 0;
  await screenWith(/queued web:\/x \(8\.0 MiB.*[\s\S]*^status 0/m);
});

test('push -r shows the tree as one line, with its files', onTmux, async () => {
  daemon.pieceDelayMs = 40;
  for (const columns of [80, 40]) {
    await openTerminal(columns);
    await type('i push -r tree web:/srv/; echo "status $?"');
    const text = await screenWith(/^\S tree .*[1-9]\d?%.*\/s/m);
    if (columns === 80)
      assert.match(text, /^\S tree {2}1,200 files +\d+% {2}[\d.]+ [KM]iB of 2\.9 MiB .*left$/m);
    assert.equal(text.split('\n').filter((line) => line.includes('%')).length, 1, text);
    await screenWith(/queued web:\/srv\/ \(1,200 [\s\S]*^status 0/m);
  }
});

test('push -r --wait shows how many files are delivered', onTmux, async () => {
  await openTerminal(80);
  await type('i push -r --wait tree web:/srv/');
  await screenWith(/^\S tree: queued as/m);
  const [id = ''] = daemon.jobs.keys();
  const change = { state: 'delivering', attempts: 1, filesTotal: 1200 } as const;
  daemon.update(id, { ...change, filesDone: 345, bytesDelivered: 2 ** 20 });
  await screenWith(/^\S tree {2}delivering 345 of 1,200 files +34% {2}1\.0 MiB of 2\.9 MiB/m);
  daemon.update(id, { state: 'delivered' });
  await screenWith(/^✔ tree: delivered 1,200 files to web:\/srv\/ \(sent in/m);
});

test('push ended by a signal leaves a clean screen, and says what was accepted', onTmux, async () => {
  daemon.pieceDelayMs = 200;
  await openTerminal(80);
  for (const signal of ['TERM', 'HUP', 'INT']) {
    await type(
      `clear; (sleep 1; pkill -${signal} -P $$ node) & i push one.bin two.bin web:/d/; echo "status $?"`,
    );
    const text = await screenWith(/^status 130/m);
    assert.match(text, /^incus-upload: Interrupted; of 2 files 0 were accepted; see: incus-upload jobs$/m);
    assert.doesNotMatch(text, /%/);
    assert.match(await tmux('display', '-p', '#{cursor_flag}'), /1/);
  }
});

test('push draws nothing where it should not', onTmux, async () => {
  for (const [env, option] of [
    ['TERM=dumb', ''],
    ['CI=true', ''],
    ['A=b', '--no-progress'],
  ] as const) {
    await openTerminal(80, env);
    await type(`i push ${option} one.bin web:/x 2>&1 | cat -v; i push ${option} one.bin web:/x; echo done`);
    const text = await screenWith(/^done/m);
    assert.match(text, /one\.bin: queued as/, env);
    assert.doesNotMatch(text, /%|⠋/, env);
    await tmux('kill-server');
  }
});

test('jobs is coloured on a terminal, unless NO_COLOR or --no-color', onTmux, async () => {
  await client.run(['push', '-q', join(client.directory, 'one.bin'), 'web:/x'], {
    env: { INCUS_UPLOAD_URL: daemon.url },
  });
  await openTerminal(80);
  await type(
    'i jobs; NO_COLOR=1 i jobs; i jobs --no-color; i jobs | cat; i jobs --color | cat -v; FORCE_COLOR=1 i jobs | cat -v; echo done',
  );
  const plain = await screenWith(/^done/m);
  assert.equal(plain.match(/queued/g)?.length, 6, plain);
  assert.equal(plain.match(/\^\[\[36mqueued/g)?.length, 2, plain);
  const painted = await tmux('capture-pane', '-p', '-e');
  assert.equal(painted.split('\u001b[36mqueued').length, 2, painted);
});

test('jobs fits its table into the terminal', onTmux, async () => {
  const { stdout } = await client.run(
    ['push', '-q', join(client.directory, WIDE_NAME), 'web:/some/long/directory/of/many/names/'],
    {
      env: { INCUS_UPLOAD_URL: daemon.url },
    },
  );
  daemon.update(stdout.trim(), {
    state: 'failed',
    error: {
      code: 'permission_denied',
      message: 'The instance does not allow writing there.',
      retryable: false,
    },
  });
  for (const columns of [40, 80, 200]) {
    await openTerminal(columns);
    await type('i jobs; echo done');
    const text = await screenWith(/^done/m);
    const lines = text.trimEnd().split('\n');
    const heading = lines.findIndex((line) => line.startsWith('ID '));
    assert.equal(lines[heading + 2], 'done', text);
    assert.match(lines[heading + 1] ?? '', /^\w{11} .*failed/);
    await tmux('kill-server');
  }
});
