/** Which daemon the client speaks to, and the file that says so. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { type BuiltClient, buildClient, type Ended } from '../support/built-client.ts';
import { startFakeDaemon } from '../support/fake-daemon.ts';

let client: BuiltClient;
let configFile: string;

before(async () => {
  client = await buildClient();
  configFile = join(client.directory, 'config', 'incus-upload', 'config.yml');
});
after(() => client.remove());
beforeEach(() => rmSync(join(client.directory, 'config'), { recursive: true, force: true }));

const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> =>
  client.run(args, { env: { XDG_CONFIG_HOME: join(client.directory, 'config'), ...env } });

test('the first of --url, --remote, INCUS_UPLOAD_URL, INCUS_UPLOAD_REMOTE, default counts, and its token alone', async () => {
  const daemons = await Promise.all(
    ['url', 'remote', 'default'].map((name) => startFakeDaemon(join(client.directory, name))),
  );
  const [byUrl, byRemote, byDefault] = daemons as [
    (typeof daemons)[0],
    (typeof daemons)[0],
    (typeof daemons)[0],
  ];
  try {
    byRemote.token = 'of-remote';
    byUrl.token = 'of-environment';
    const added = await run(['remote', 'add', 'r', byRemote.url, '--token', 'of-remote']);
    assert.equal(added.status, 0, added.stderr);
    assert.equal((await run(['remote', 'add', 'd', byDefault.url])).status, 0);
    assert.equal((await run(['remote', 'default', 'd'])).status, 0);
    const asked = async (args: string[], env: NodeJS.ProcessEnv): Promise<number> => {
      for (const one of daemons) one.requests.length = 0;
      const ended = await run(['info', ...args], { INCUS_UPLOAD_TOKEN: 'of-environment', ...env });
      assert.equal(ended.status, 0, ended.stderr);
      return daemons.findIndex(({ requests }) => requests.length === 1);
    };
    const both = { INCUS_UPLOAD_URL: byUrl.url, INCUS_UPLOAD_REMOTE: 'r' };
    assert.equal(await asked(['--url', byUrl.url, '--remote', 'r'], {}), 0);
    assert.equal(await asked(['--remote', 'r'], both), 1);
    assert.equal(await asked([], both), 0);
    assert.equal(await asked([], { INCUS_UPLOAD_REMOTE: 'r' }), 1);
    assert.equal(await asked([], {}), 2);
    const text = readFileSync(configFile, 'utf8');
    assert.match(text, /^ +token: of-remote$/m);
    assert.doesNotMatch((await run(['remote', 'list'])).stdout, /of-remote/);
  } finally {
    for (const one of daemons) await one.close();
  }
});

test('what people wrote into the file stays, and what cannot be read is told by its line', async () => {
  mkdirSync(join(configFile, '..'), { recursive: true });
  writeFileSync(configFile, '# mine\nremotes:\n  old: # the first\n    url: unix:/nowhere\n    note: kept\n');
  const added = await run(['remote', 'add', 'lab', 'http://127.0.0.1:1', '-q']);
  assert.deepEqual(added, { status: 0, stdout: '', stderr: '' });
  assert.match(
    readFileSync(configFile, 'utf8'),
    /^# mine\n[\s\S]*# the first\n[\s\S]*note: kept\n[\s\S]*lab:/,
  );
  for (const [text, expected] of [
    ['remotes: [', /not valid YAML: .*line/],
    ['remotes:\n  a: {}\n', /remotes\.a: url is missing/],
    ['remotes:\n  a:\n    url: ftp:x\n', /remotes\.a\.url: .*expected unix:PATH/],
    [
      'remotes:\n  a:\n    url: unix:/x\n    fingerprint: xx\n',
      /remotes\.a\.fingerprint: expected 64 hex digits/,
    ],
    ['default: b\n', /default: there is no remote "b"/],
  ] as const) {
    writeFileSync(configFile, text);
    const { status, stderr } = await run(['info']);
    assert.equal(status, 78);
    assert.match(stderr, expected);
    assert.match(stderr, /^incus-upload: [^\n]*config\.yml: [^\n]*\n$/);
  }
});
