import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  baseName,
  cleanPath,
  fileNameProblem,
  instanceNameProblem,
  pathProblem,
  projectNameProblem,
} from '../../src/protocol/names.ts';

test('instanceNameProblem() follows the rule of Incus', () => {
  for (const name of ['c', 'C1', '1c', 'a-b', 'x'.repeat(63)])
    assert.equal(instanceNameProblem(name), undefined, name);
  for (const name of ['', '1', '123', '-a', 'a-', 'a_b', 'a.b', 'a b', 'é', 'a\n', 'x'.repeat(64), 'a/b']) {
    assert.ok(instanceNameProblem(name), name);
  }
});

test('projectNameProblem() follows the rule of Incus', () => {
  for (const name of ['default', 'user-1000', 'a.b', 'ü', 'x'.repeat(64)]) {
    assert.equal(projectNameProblem(name), undefined, name);
  }
  const bad = [
    '',
    '.',
    '..',
    'a/b',
    'a b',
    'a_b',
    "a'",
    'a"',
    'a?',
    'a&b',
    'a+',
    'a*',
    'a$',
    'a`',
    'a\n',
    'a\u0001',
    'a\u2003b',
  ];
  for (const name of [...bad, 'x'.repeat(65)]) assert.ok(projectNameProblem(name), name);
});

test('pathProblem() wants an absolute path that stays where it says', () => {
  for (const path of ['/', '/a', '/a/', '/a b/ü', '/a\nb', '/...', '/a..b/.hidden', `/${'x'.repeat(255)}`]) {
    assert.equal(pathProblem(path), undefined, path);
  }
  for (const path of ['', 'a', './a', '/a/../b', '/..', '/a\0', '/\ud800']) {
    assert.equal(pathProblem(path)?.code, 'bad_request', path);
  }
  assert.equal(pathProblem(`/${'x'.repeat(256)}`)?.code, 'name_too_long');
  assert.equal(pathProblem(`/${'ü'.repeat(128)}`)?.code, 'name_too_long');
  assert.equal(pathProblem('/a'.repeat(2048))?.code, 'name_too_long');
  assert.equal(pathProblem('/a'.repeat(2047)), undefined);
});

test('fileNameProblem() takes one name, or none', () => {
  for (const name of ['', 'a', '.a', '...', 'ü'.repeat(127)])
    assert.equal(fileNameProblem(name), undefined, name);
  for (const name of ['.', '..', 'a/b', 'a\0'])
    assert.equal(fileNameProblem(name)?.code, 'bad_request', name);
  assert.equal(fileNameProblem('€'.repeat(86))?.code, 'name_too_long');
});

test('cleanPath() drops what means nothing and keeps one final slash', () => {
  const cases: [string, string][] = [
    ['/', '/'],
    ['//', '/'],
    ['/.', '/'],
    ['/./', '/'],
    ['/a', '/a'],
    ['/a//b', '/a/b'],
    ['/a/./b/', '/a/b/'],
    ['/a/.', '/a/'],
    ['/.a/..b', '/.a/..b'],
    ['/a/..', '/a/..'],
    ['a//b', 'a/b'],
    ['', ''],
  ];
  for (const [path, clean] of cases) assert.equal(cleanPath(path), clean, path);
});

const path = fc
  .string({ unit: fc.constantFrom('a', '.', '/', 'é'), maxLength: 20 })
  .map((text) => `/${text}`);

test('cleanPath() is idempotent, leaves no empty names, and keeps file a file and directory a directory', () => {
  fc.assert(
    fc.property(path, (text) => {
      const clean = cleanPath(text);
      assert.equal(cleanPath(clean), clean);
      assert.doesNotMatch(clean, /\/\/|\/\.(?:\/|$)/);
      assert.equal(clean.endsWith('/'), /\/\.?$/.test(text));
      assert.deepEqual(
        clean.split('/').filter(Boolean),
        text.split('/').filter((name) => name !== '' && name !== '.'),
      );
    }),
  );
});

test('baseName() is one name without slashes', () => {
  const cases: [string, string][] = [
    ['/a/b.txt', 'b.txt'],
    ['b.txt', 'b.txt'],
    ['/a/b/', 'b'],
    ['/a/b//', 'b'],
    ['/', ''],
    ['', ''],
  ];
  for (const [text, name] of cases) assert.equal(baseName(text), name);
  fc.assert(fc.property(path, (text) => assert.ok(!baseName(text).includes('/'))));
});
