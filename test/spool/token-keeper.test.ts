import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { UNLIMITED } from '../../src/protocol/scope.ts';
import {
  addToken,
  isTokenName,
  listTokens,
  revokeToken,
  tokenDirectory,
} from '../../src/spool/token-directory.ts';
import { TokenKeeper } from '../../src/spool/token-keeper.ts';
import {
  createToken,
  decodeTokenRecord,
  encodeTokenRecord,
  hashToken,
  type TokenRecord,
} from '../../src/spool/token-record.ts';

let stateDir: string;
let nowMs: number;
let problems: string[];
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'incus-upload-tokens-'));
  nowMs = 1_000_000;
  problems = [];
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

const keeper = (): TokenKeeper =>
  new TokenKeeper(
    stateDir,
    () => nowMs,
    (problem) => problems.push(problem),
  );

function recordOf(name: string, token: string, about: Partial<TokenRecord> = {}): TokenRecord {
  return {
    name,
    sha256: hashToken(token).toString('hex'),
    scope: UNLIMITED,
    createdAt: 7,
    expiresAt: null,
    ...about,
  };
}

async function add(name: string, about: Partial<TokenRecord> = {}): Promise<string> {
  const token = createToken();
  await addToken(stateDir, recordOf(name, token, about));
  return token;
}

test('find() knows a token from the moment on when it is added, until it is revoked', async () => {
  const tokens = keeper();
  assert.equal(tokens.find('iut_x'), undefined);
  // Changes that follow at once on each other, as they do in scripts.
  for (let i = 0; i < 20; i += 1) {
    const token = await add(`t${i}`);
    const found = tokens.find(token);
    assert.equal(found?.name, `t${i}`);
    assert.equal(found?.isStillValid(), true);
    await revokeToken(stateDir, `t${i}`);
    assert.equal(tokens.find(token), undefined);
    assert.equal(found?.isStillValid(), false);
  }
  assert.deepEqual(problems, []);
});

test('find() takes only the whole token, as it was made', async () => {
  const tokens = keeper();
  const token = await add('t');
  assert.match(token, /^iut_[\w-]{43}$/);
  for (const other of [
    token.slice(0, -1),
    `${token}x`,
    token.toUpperCase(),
    hashToken(token).toString('hex'),
    '',
  ])
    assert.equal(tokens.find(other), undefined);
});

test('a token ends when its time is over', async () => {
  const tokens = keeper();
  const token = await add('t', { expiresAt: nowMs + 10 });
  const found = tokens.find(token);
  nowMs += 9;
  assert.equal(found?.isStillValid(), true);
  nowMs += 1;
  assert.equal(found?.isStillValid(), false);
  assert.equal(tokens.find(token), undefined);
});

test('a file holds no token, and only its owner may read it', async () => {
  const token = await add('t', { scope: { ...UNLIMITED, paths: ['/srv/**'], readOnly: true } });
  const file = join(tokenDirectory(stateDir), 't.json');
  assert.ok(!readFileSync(file, 'latin1').includes(token.slice(4)));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(tokenDirectory(stateDir)).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(tokenDirectory(stateDir)), ['t.json']);
});

test('a name is given once, also to several at the same time', async () => {
  const results = await Promise.allSettled(Array.from({ length: 4 }, () => add('t')));
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  await assert.rejects(add('t'), { code: 'conflict' });
  await revokeToken(stateDir, 't');
  await assert.rejects(revokeToken(stateDir, 't'), { code: 'not_found' });
  await add('t');
  assert.deepEqual(
    (await listTokens(stateDir, assert.fail)).map(({ name }) => name),
    ['t'],
  );
});

test('what is left of an addition that was killed counts for nothing and hinders nobody', async () => {
  mkdirSync(tokenDirectory(stateDir));
  writeFileSync(join(tokenDirectory(stateDir), '.t.0~'), '{"v":1');
  writeFileSync(join(tokenDirectory(stateDir), '.t.1~'), '{"v":1');
  const token = await add('t');
  assert.equal(keeper().find(token)?.name, 't');
  assert.equal(keeper().size, 1);
  assert.deepEqual(problems, []);
});

test('a file that is no token is told of and allows nothing; the others stay valid', async () => {
  const token = await add('good');
  const other = createToken();
  const directory = tokenDirectory(stateDir);
  writeFileSync(join(directory, 'broken.json'), '{');
  // A restriction that is missing must not become a permission.
  const { paths: _, ...lacking } = JSON.parse(encodeTokenRecord(recordOf('lacking', other)).toString());
  writeFileSync(join(directory, 'lacking.json'), JSON.stringify(lacking));
  writeFileSync(join(directory, 'alias.json'), encodeTokenRecord(recordOf('good', other)));
  const tokens = keeper();
  assert.equal(tokens.find(token)?.name, 'good');
  assert.equal(tokens.find(other), undefined);
  assert.equal(new Set(problems).size, 3);
});

test('when the tokens cannot be read nobody is let in or sent away for good', async () => {
  const token = await add('t');
  const tokens = keeper();
  assert.equal(tokens.find(token)?.name, 't');
  const directory = tokenDirectory(stateDir);
  rmSync(directory, { recursive: true });
  writeFileSync(directory, 'no directory');
  assert.throws(() => tokens.find(token), { code: 'not_ready' });
  rmSync(directory);
  assert.equal(tokens.find(token), undefined);
  assert.ok(!existsSync(directory));
});

test('encodeTokenRecord() and decodeTokenRecord() are each other’s reverse', () => {
  const scope = {
    projects: ['p'],
    instances: ['i*'],
    paths: ['/a/**'],
    maxUploadSizeBytes: 5,
    readOnly: true,
  };
  const record = recordOf('n', 'x', { scope, expiresAt: 9 });
  assert.deepEqual(decodeTokenRecord(encodeTokenRecord(record)), record);
});

test('isTokenName() takes no path', () => {
  for (const name of ['ci', 'a.b-c_d', '9']) assert.equal(isTokenName(name), true);
  for (const name of ['', '.', '..', 'a/b', '-x', 'a b', 'a\n', 'x'.repeat(65)])
    assert.equal(isTokenName(name), false);
});
