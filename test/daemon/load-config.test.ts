import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_CONFIG_FILE, type LoadOptions, loadConfig } from '../../src/daemon/load-config.ts';
import { CodedError } from '../../src/errors.ts';

const GROUPS = 'root:x:0:\nincus-admin:x:990:me\nstaff:x:50:\n';

function surroundings(files: Record<string, string>, changes: Partial<LoadOptions> = {}): LoadOptions {
  const all: Record<string, string> = { '/etc/group': GROUPS, ...files };
  return {
    flags: {},
    env: {},
    uid: 0,
    groupIds: [],
    stderrIsTerminal: false,
    readFile: async (path) => {
      const text = all[path];
      if (text === undefined)
        throw Object.assign(new Error(`ENOENT: no such file, ${path}`), { code: 'ENOENT' });
      return text;
    },
    ...changes,
  };
}

async function problemOf(options: LoadOptions): Promise<string> {
  try {
    await loadConfig(options);
  } catch (error) {
    assert.ok(error instanceof CodedError);
    assert.equal(error.code, 'config_invalid');
    return error.message;
  }
  assert.fail('expected config_invalid');
}

test('loadConfig() has the defaults of the documentation', async () => {
  const { config, settings } = await loadConfig(surroundings({}));
  assert.deepEqual(config, {
    listen: [{ kind: 'unix', path: '/run/incus-upload/uploadd.sock' }],
    socketMode: 0o660,
    socketGroup: 'incus-admin',
    stateDir: '/var/lib/incus-upload',
    target: 'incus',
    targetCert: null,
    targetKey: null,
    targetServerCert: null,
    concurrency: 8,
    instanceConcurrency: 4,
    maxAttempts: 10,
    retryMinDelayMs: 1000,
    retryMaxDelayMs: 300_000,
    slowRetryDelayMs: 60_000,
    deliveryTimeoutMs: 60_000,
    maxUploadSizeBytes: null,
    maxQueuedJobs: 100_000,
    maxUploads: 256,
    minFreeSpaceBytes: 2 ** 30,
    bodyTimeoutMs: 60_000,
    retentionMs: 7 * 86_400_000,
    lingerMs: 60_000,
    shutdownGraceMs: 30_000,
    tlsCert: null,
    tlsKey: null,
    tlsClientCa: null,
    noAuth: false,
    logLevel: 'info',
    logFormat: 'json',
  });
  assert.ok(settings.every(({ origin }) => origin === 'default'));
});

test('loadConfig() takes an ordinary user home', async () => {
  const env = { XDG_RUNTIME_DIR: '/run/user/7', HOME: '/home/me' };
  const { config } = await loadConfig(surroundings({}, { uid: 7, env, stderrIsTerminal: true }));
  assert.deepEqual(config.listen, [{ kind: 'unix', path: '/run/user/7/incus-upload/uploadd.sock' }]);
  assert.equal(config.stateDir, '/home/me/.local/state/incus-upload');
  assert.equal(config.socketGroup, null);
  assert.equal(config.logFormat, 'text');
  const member = await loadConfig(
    surroundings({}, { uid: 7, groupIds: [990], env: { ...env, XDG_STATE_HOME: '/s' } }),
  );
  assert.equal(member.config.socketGroup, 'incus-admin');
  assert.equal(member.config.stateDir, '/s/incus-upload');
  assert.match(
    await problemOf(surroundings({}, { uid: 7 })),
    /^listen: there is no default, because XDG_RUNTIME_DIR/,
  );
});

test('loadConfig() takes the directories that systemd made', async () => {
  const env = { STATE_DIRECTORY: '/var/lib/private/x:/other', RUNTIME_DIRECTORY: '/run/x:/run/y' };
  const { config } = await loadConfig(surroundings({}, { env, uid: 7 }));
  assert.equal(config.stateDir, '/var/lib/private/x');
  assert.deepEqual(config.listen, [{ kind: 'unix', path: '/run/x/uploadd.sock' }]);
});

test('loadConfig() lets a flag beat the environment, that the file, that the default', async () => {
  const file = 'concurrency: 1\nmax_attempts: 1\nmax_uploads: 1\n';
  const env = {
    INCUS_UPLOADD_CONCURRENCY: '2',
    INCUS_UPLOADD_MAX_ATTEMPTS: '2',
    INCUS_UPLOADD_RETENTION: '',
  };
  const { config, settings } = await loadConfig(
    surroundings({ [DEFAULT_CONFIG_FILE]: file }, { env, flags: { concurrency: '3' } }),
  );
  assert.equal(config.concurrency, 3);
  assert.equal(config.maxAttempts, 2);
  assert.equal(config.maxUploads, 1);
  const origins = Object.fromEntries(settings.map(({ name, origin }) => [name, origin]));
  assert.equal(origins.concurrency, '--concurrency');
  assert.equal(origins['max-attempts'], 'INCUS_UPLOADD_MAX_ATTEMPTS');
  assert.equal(origins['max-uploads'], `${DEFAULT_CONFIG_FILE}:3`);
  assert.equal(origins.retention, 'default');
});

test('loadConfig() reads several addresses from flags, environment and file', async () => {
  const expected = [
    { kind: 'unix', path: '/a' },
    { kind: 'http', host: '127.0.0.1', port: 0 },
  ];
  const ways: Partial<LoadOptions>[] = [
    { flags: { listen: ['unix:/a', 'http://127.0.0.1:0'], 'no-auth': 'true' } },
    { env: { INCUS_UPLOADD_LISTEN: 'unix:/a,http://127.0.0.1:0', INCUS_UPLOADD_NO_AUTH: '1' } },
    { flags: { config: '/x.yml' } },
  ];
  const files = { '/x.yml': 'listen:\n  - unix:/a\n  - http://127.0.0.1:0\nno_auth: yes\n' };
  for (const way of ways) {
    const { config } = await loadConfig(surroundings(files, way));
    assert.deepEqual(config.listen, expected);
    assert.equal(config.noAuth, true);
  }
});

test('loadConfig() keeps an octal mode of the file octal', async () => {
  const { config } = await loadConfig(surroundings({ [DEFAULT_CONFIG_FILE]: 'socket_mode: 0600\n' }));
  assert.equal(config.socketMode, 0o600);
});

const BAD_FILES: [yaml: string, problem: RegExp][] = [
  ['a: [', /^\/x\.yml:\d: not valid YAML/],
  ['- a\n', /^\/x\.yml:1: expected lines of the form KEY: VALUE/],
  ['\nconcurency: 3\n', /^\/x\.yml:2: unknown key "concurency"; did you mean concurrency\?/],
  ['retry-min-delay: 3s\n', /^\/x\.yml:1: unknown key "retry-min-delay"; did you mean retry_min_delay\?/],
  ['zebra: 1\n', /^\/x\.yml:1: unknown key "zebra"; see incus-uploadd\.yml\(5\)/],
  ['concurrency:\n', /^\/x\.yml:1: concurrency: expected one plain value/],
  ['concurrency: [1]\n', /^\/x\.yml:1: concurrency: expected one plain value/],
  ['listen: {a: b}\n', /^\/x\.yml:1: listen: expected an address or a list/],
  ['listen: []\n', /^\/x\.yml:1: listen: expected at least one address/],
  ['concurrency: 1\nconcurrency: 2\n', /^\/x\.yml:2: not valid YAML: .*unique/],
  ['concurrency: eight\n', /^\/x\.yml:1: concurrency: expected a whole number from 1 to 1024, got "eight"/],
  ['retention: 7\n', /^\/x\.yml:1: retention: expected a duration such as .*, got "7"/],
  ['min_free_space: 1 apple\n', /^\/x\.yml:1: min_free_space: expected a size such as/],
  ['socket_mode: "0999"\n', /^\/x\.yml:1: socket_mode: expected an octal mode/],
  ['log_level: loud\n', /^\/x\.yml:1: log_level: expected one of trace, debug/],
  ['no_auth: maybe\n', /^\/x\.yml:1: no_auth: expected true or false/],
  ['target: ftp://x\n', /^\/x\.yml:1: target: expected incus, unix:PATH/],
  ['delivery_timeout: 0\n', /^\/x\.yml:1: delivery_timeout: expected a duration longer than 0/],
  ['body_timeout: 30d\n', /^\/x\.yml:1: body_timeout: expected a duration of at most 24d/],
];

test('loadConfig() names file, line, key and what was expected', async () => {
  for (const [yaml, problem] of BAD_FILES) {
    assert.match(await problemOf(surroundings({ '/x.yml': yaml }, { flags: { config: '/x.yml' } })), problem);
  }
});

const BAD_FLAGS: [flags: LoadOptions['flags'], problem: RegExp][] = [
  [{ config: '/missing.yml' }, /^--config: cannot read the config file \/missing\.yml: ENOENT/],
  [{ listen: ['http://h:1'] }, /^--listen: http:\/\/h:1: .*in the clear; use https/],
  [{ listen: ['https://h:1'] }, /^--listen: .*needs tls-cert and tls-key/],
  [{ 'tls-client-ca': '/ca' }, /^--tls-client-ca: .*tls-cert and tls-key/],
  [{ listen: ['unix:/a', 'http://0.0.0.0:0'], 'no-auth': 'true' }, /no-auth is refused unless .* loopback/],
  [{ 'tls-cert': '/etc/group' }, /^tls-key: expected a file: tls-cert and tls-key belong together/],
  [{ 'tls-cert': '/no.pem', 'tls-key': '/etc/group' }, /^--tls-cert: cannot read \/no\.pem: ENOENT/],
  [
    { 'target-key': '/etc/group' },
    /^target-cert: expected a file: target-cert and target-key belong together/,
  ],
  [{ 'retry-min-delay': '10m' }, /^retry-max-delay: expected a duration not shorter than retry-min-delay/],
  [{ 'socket-group': 'nobody-here' }, /^--socket-group: there is no group "nobody-here"/],
  [{ concurrency: '0', retention: 'x' }, /^--concurrency: .*; --retention: /],
];

test('loadConfig() checks values against each other', async () => {
  for (const [flags, problem] of BAD_FLAGS)
    assert.match(await problemOf(surroundings({}, { flags })), problem);
});

test('loadConfig() takes the config file of the environment and names the variable when it is missing', async () => {
  const env = { INCUS_UPLOADD_CONFIG: '/x.yml' };
  const { config } = await loadConfig(surroundings({ '/x.yml': 'concurrency: 5' }, { env }));
  assert.equal(config.concurrency, 5);
  assert.match(await problemOf(surroundings({}, { env })), /^INCUS_UPLOADD_CONFIG: cannot read/);
});

test('loadConfig() takes an empty file, none for what may be missing, and numbers for groups', async () => {
  const flags = { config: '/x.yml', 'max-upload-size': 'none', 'socket-group': '77' };
  const { config } = await loadConfig(surroundings({ '/x.yml': '# nothing\n' }, { flags }));
  assert.equal(config.maxUploadSizeBytes, null);
  assert.equal(config.socketGroup, '77');
});
