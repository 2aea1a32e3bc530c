import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CodedError } from '../../src/errors.ts';
import { formatDestination, parseDestination } from '../../src/protocol/destination.ts';
import { cleanPath, instanceNameProblem, pathProblem } from '../../src/protocol/names.ts';

test('parseDestination() reads both ways of writing', () => {
  const cases: [string, string, string][] = [
    ['c1:/srv/a', 'c1', '/srv/a'],
    ['c1/srv/a', 'c1', '/srv/a'],
    ['c1:/', 'c1', '/'],
    ['c1/', 'c1', '/'],
    ['c1/a:b', 'c1', '/a:b'],
    ['c1:/a:b', 'c1', '/a:b'],
    ['c1://a//b/./', 'c1', '/a/b/'],
    ['c1:/a/.', 'c1', '/a/'],
    ['c1:/a b/ü\n', 'c1', '/a b/ü\n'],
  ];
  for (const [text, instance, path] of cases)
    assert.deepEqual(parseDestination(text), { instance, path }, text);
});

test('parseDestination() refuses what names no file in an instance', () => {
  const bad = [
    '',
    'c1',
    ':',
    '/',
    ':/a',
    '/a',
    'c1:',
    'c1:a',
    'c1:./a',
    'c 1:/a',
    '-c:/a',
    '12:/a',
    'c1:/a/../b',
    'c1:/a\0b',
  ];
  for (const text of bad) {
    assert.throws(
      () => parseDestination(text),
      (error) => error instanceof CodedError && error.code === 'usage',
      text,
    );
  }
});

test('parseDestination() reads what formatDestination() writes', () => {
  const instance = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,20}[a-z0-9]$/);
  const path = fc
    .array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), { maxLength: 5 })
    .map((names) => cleanPath(`/${names.join('/')}`))
    .filter((text) => pathProblem(text) === undefined);
  fc.assert(
    fc.property(instance, path, (name, where) => {
      const destination = { instance: name, path: where };
      assert.deepEqual(parseDestination(formatDestination(destination)), destination);
    }),
  );
});

test('parseDestination() gives valid names or throws `usage`, for any text', () => {
  const text = fc.string({
    unit: fc.constantFrom('a', '1', '-', ':', '/', '.', '\0', ' ', 'é', '\ud800'),
    maxLength: 30,
  });
  fc.assert(
    fc.property(text, (any) => {
      try {
        const { instance, path } = parseDestination(any);
        assert.equal(instanceNameProblem(instance), undefined);
        assert.equal(pathProblem(path), undefined);
        assert.equal(cleanPath(path), path);
      } catch (error) {
        assert.ok(error instanceof CodedError && error.code === 'usage', String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
