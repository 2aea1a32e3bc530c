/** Each failure that people meet, by the built program: one line that says what to do, and a code for scripts. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdirSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import type { JobError } from '../../src/protocol/job.ts';
import { type BuiltClient, buildClient } from '../support/built-client.ts';
import { type FakeDaemon, startFakeDaemon } from '../support/fake-daemon.ts';
import { needsRoot, runAsNobody } from '../support/ordinary-user.ts';

let client: BuiltClient;
let daemon: FakeDaemon;
let file: string;

before(async () => {
  client = await buildClient();
  file = join(client.directory, 'file');
  writeFileSync(file, 'hello');
  mkdirSync(join(client.directory, 'dir'));
});
after(() => client.remove());
beforeEach(async () => {
  daemon = await startFakeDaemon(join(client.directory, 'socket'));
});
afterEach(() => daemon.close());

/** Runs it for people and for scripts; both have to tell the same. */
async function fails(args: readonly string[], exit: number, code: string, says: RegExp): Promise<void> {
  const url = args.includes('--url') ? [] : ['--url', daemon.url];
  const all = ['-q', ...url, ...args];
  const plain = await client.run(all, { cwd: client.directory });
  assert.match(plain.stderr, /^incus-upload: [^\n]+; [^\n]+\n$/);
  assert.match(plain.stderr, says);
  assert.doesNotMatch(plain.stderr, /\n +at |undefined|Error:/);
  assert.equal(plain.status, exit, plain.stderr);
  const { status, stderr } = await client.run(['--json', ...all], { cwd: client.directory });
  const { error } = JSON.parse(stderr);
  assert.deepEqual([status, error.code, error.exit_status], [exit, code, exit]);
  assert.match(error.message, /; \S/);
}

test('a command line that cannot be meant, or a source that cannot be read', async () => {
  const { directory } = client;
  for (const [args, exit, code, says] of [
    [['push', 'dir', 'web:/x'], 64, 'usage', /dir is a directory; .*-r/],
    [
      ['push', '*.deb', 'web:/x/'],
      66,
      'source_unreadable',
      /Nothing matches \*\.deb, .*; check directory and pattern/,
    ],
    [['push', 'a[0-9]', 'web:/x/'], 66, 'source_unreadable', /Nothing matches a\[0-9\]/],
    [
      ['push', 'none', 'web:/x'],
      66,
      'source_unreadable',
      /Cannot read none: there is no such file; check its name/,
    ],
    [['push', 'file/x', 'web:/x'], 66, 'source_unreadable', /a part of the path is no directory; check/],
    [['push', '/dev/null', 'web:/x'], 66, 'source_unreadable', /not a regular file; pipe it in/],
    [['push', 'file', '/opt/x'], 64, 'usage', /"\/opt\/x" names no instance; expected INSTANCE:\/path/],
    [['push', 'file', 'web'], 64, 'usage', /"web" names no path; expected/],
    [['push', 'file', 'web:'], 64, 'usage', /"web:" names no path; expected/],
    [['push', 'file', 'web:opt'], 64, 'usage', /does not begin with \/; expected/],
    [['push', 'file', 'a_b:/x'], 64, 'usage', /Not an instance name: "a_b"; expected/],
    [['push', 'file'], 64, 'usage', /push needs a source and a destination.*; see --help/],
    [['push', 'file', 'web:/x', '--nope'], 64, 'usage', /unknown option '--nope'.*; see incus-upload --help/],
    [['psh'], 64, 'usage', /unknown command 'psh'.*Did you mean push\?.*; see/],
    [['remote', 'ad'], 64, 'usage', /remote has no "ad"; incus-upload remote add/],
    [
      ['info', '--token-file', join(directory, 'none')],
      78,
      'config_invalid',
      /Cannot read the token file .*; correct/,
    ],
    [['info', '--url', 'nonsense'], 64, 'usage', /Cannot read the daemon's address "nonsense".*; /],
  ] as const)
    await fails(args, exit, code, says);
  assert.deepEqual(daemon.requests, []);
});

test('a daemon that cannot be reached, or does not want', async () => {
  const none = join(client.directory, 'nothing');
  writeFileSync(join(client.directory, 'stale'), '');
  for (const [args, exit, code, says] of [
    [
      ['info', '--url', `unix:${none}`],
      69,
      'daemon_unreachable',
      /there is no such socket; start the daemon/,
    ],
    [
      ['info', '--url', 'unix:/run/incus-upload/uploadd.sock.none'],
      69,
      'daemon_unreachable',
      /no such socket; start/,
    ],
    [
      ['info', '--url', `unix:${join(client.directory, 'stale')}`],
      69,
      'daemon_unreachable',
      /nothing listens there; start/,
    ],
    [
      ['info', '--url', 'http://127.0.0.1:1'],
      69,
      'daemon_unreachable',
      /nothing listens there; see whether it runs/,
    ],
    [['info', '--url', 'http://no.such.host.invalid:1'], 69, 'daemon_unreachable', /not known here; see/],
    [['show', '1k000000000'], 76, 'not_found', /There is no job 1k000000000; check the id/],
  ] as const)
    await fails(args, exit, code, says);
  for (const [code, detail, exit, says] of [
    [
      'disk_low',
      'The disk of the daemon has 1 B free',
      75,
      /disk of the daemon has 1 B free; make room there/,
    ],
    ['queue_full', undefined, 75, /The queue is full; try again later/],
    ['forbidden', 'This token does not allow files for web', 77, /for web; ask for one that does/],
    ['unauthorized', undefined, 77, /valid token is needed; give one with --token-file/],
    ['too_large', 'The file has more than 5 B', 76, /more than 5 B; see --max-upload-size/],
  ] as const) {
    const refusal = detail === undefined ? { code } : { code, detail };
    daemon.refusals.push(refusal, refusal);
    await fails(['push', '--retries', '0', 'file', 'web:/x'], exit, code, says);
  }
});

test('a socket that is closed', { skip: needsRoot }, async () => {
  chmodSync(join(client.directory, 'socket'), 0o660);
  chownSync(join(client.directory, 'socket'), 0, 4);
  const { status, stderr } = await runAsNobody(client, ['info', '--url', daemon.url]);
  assert.equal(status, 77);
  assert.match(
    stderr,
    /^incus-upload: The daemon's socket \S+ is closed to you; join the group adm \(usermod -aG adm nobody, then log in again\)\n$/,
  );
});

const INSTANCES = ['web', 'db', 'proxy'].map((name) => ({ name, project: 'default' }));

test('a job that came to nothing says why, where, and which name may have been meant', async () => {
  daemon.instances = INSTANCES;
  const failsAs = (error: JobError | null, state: 'failed' | 'cancelled' = 'failed', attempts = 1): void => {
    daemon.onAccepted = () => ({ state, error, attempts });
  };
  const error = (code: JobError['code'], message: string, retryable = false): JobError => ({
    code,
    message,
    retryable,
  });
  const pushed = (destination: string, code: string, says: RegExp, ...args: string[]): Promise<void> =>
    fails(['push', '--wait', 'file', destination, ...args], 1, code, says);

  failsAs(error('instance_not_found', 'Instance not found'));
  await pushed(
    'wbe:/x',
    'instance_not_found',
    /There is no instance wbe in project default; did you mean web\?/,
  );
  await pushed('prox:/x', 'instance_not_found', /did you mean proxy\?/);
  await pushed('other:/x', 'instance_not_found', /; there is db, proxy and web$/m);
  daemon.instances = undefined;
  await pushed(
    'wbe:/x',
    'instance_not_found',
    /no instance wbe in project default; check its name and project$/m,
  );
  daemon.instances = INSTANCES;
  failsAs(error('project_not_found', 'Project not found'));
  await pushed(
    'web:/x',
    'project_not_found',
    /no project defalt; did you mean default\?/,
    '--project',
    'defalt',
  );
  failsAs(error('parent_missing', 'The parent directory /a is missing'));
  await pushed('web:/a/x', 'parent_missing', /\/a is missing; make it, or push with --create-dirs/);
  failsAs(error('parent_missing', 'Cannot look up web:/a/x: not a directory'));
  await pushed(
    'web:/a/x',
    'parent_missing',
    /not a directory; a part of the path is a file there, choose another/,
  );
  failsAs(error('instance_disk_full', 'write: no space left on device', true), 'failed', 10);
  await pushed(
    'web:/x',
    'instance_disk_full',
    /The disk of the instance is full \(write: no space left on device\); make room there \(10 attempts\), then: incus-upload retry 1k/,
  );
  failsAs(error('permission_denied', 'open: permission denied'));
  await pushed(
    'web:/x',
    'permission_denied',
    /does not allow writing there \(open: permission denied\); choose another path/,
  );
  failsAs(error('connection_lost', 'The connection ended', true), 'failed', 3);
  await pushed(
    'web:/x',
    'connection_lost',
    /The connection ended \(3 attempts\); once that is mended: incus-upload retry 1k/,
  );
  failsAs(null, 'cancelled');
  await pushed('web:/x', 'cancelled', /was cancelled; push the file again if/);

  failsAs(error('instance_not_found', 'Instance not found'));
  const { stdout } = await client.run(['push', '-q', file, 'wbe:/x', '--url', daemon.url]);
  await fails(
    ['wait', stdout.trim()],
    1,
    'instance_not_found',
    /1k\w+ failed: There is no instance wbe .*; did you mean web\?/,
  );
});

test('a file that grows, shrinks or is touched while it is read is not sent torn', async () => {
  const size = 8 * 1024 * 1024;
  daemon.pieceDelayMs = 2;
  for (const [how, change] of [
    ['grows', (path: string) => appendFileSync(path, 'x')],
    ['shrinks', (path: string) => truncateSync(path, size / 2)],
    ['touched', (path: string) => utimesSync(path, 1, 1)],
  ] as const) {
    const path = join(client.directory, how);
    writeFileSync(path, Buffer.alloc(size));
    const before = daemon.requests.length;
    const { status, stderr } = await client.run(['push', '-q', path, 'web:/x', '--url', daemon.url], {
      meanwhile: () => {
        const timer = setInterval(() => {
          if (daemon.requests.length === before) return;
          clearInterval(timer);
          change(path);
        }, 5);
      },
    });
    assert.equal(status, 66, how);
    assert.match(
      stderr,
      /^incus-upload: \S+ changed while it was read, so it was not accepted; push it again when nothing writes to it\n$/,
    );
  }
  assert.equal(daemon.uploads.length, 0);
});

test('--debug adds the stack trace, and nothing else does', async () => {
  const { stderr } = await client.run(['info', '--debug', '--url', 'http://127.0.0.1:1']);
  assert.match(stderr, /^incus-upload: [^\n]+\nCodedError: [\s\S]+\n +at /);
});
