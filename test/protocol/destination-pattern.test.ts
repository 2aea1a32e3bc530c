import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CodedError } from '../../src/errors.ts';
import { parseDestination } from '../../src/protocol/destination.ts';
import {
  formatDestinationPattern,
  isPattern,
  isPlain,
  parseConfigFilter,
  parseDestinationPattern,
} from '../../src/protocol/destination-pattern.ts';
import { cleanPath, instanceNameProblem, pathProblem } from '../../src/protocol/names.ts';

test('parseDestinationPattern() reads names, lists and patterns', () => {
  const cases: [string, string[], string][] = [
    ['c1:/srv/a', ['c1'], '/srv/a'],
    ['web-*:/opt/app.tar', ['web-*'], '/opt/app.tar'],
    ['web-?/opt/', ['web-?'], '/opt/'],
    ['web-1,web-2:/a,b:c', ['web-1', 'web-2'], '/a,b:c'],
    ['web-1, db,web-1:/a', ['web-1', 'db'], '/a'],
    ['*:/a', ['*'], '/a'],
  ];
  for (const [text, names, path] of cases)
    assert.deepEqual(parseDestinationPattern(text), { names, path }, text);
});

test('parseDestinationPattern() takes a path alone only where something else chooses', () => {
  assert.deepEqual(parseDestinationPattern(':/a', true), { names: ['*'], path: '/a' });
  for (const [text, mayBeAll] of [
    [':/a', false],
    ['/a', true],
    ['/a', false],
    ['c1,:/a', false],
    [',c1:/a', true],
    ['web_*:/a', false],
    ['[ab]*:/a', false],
    ['web-*', false],
    ['web-*:a', false],
    ['web-*:/a/../b', false],
    [`${'x'.repeat(63)}*:/a`, false],
  ] as const)
    assert.throws(() => parseDestinationPattern(text, mayBeAll), { code: 'usage' }, text);
});

test('parseDestinationPattern() gives valid names or throws `usage`, and agrees with parseDestination(), for any text', () => {
  const unit = fc.constantFrom('a', '1', '-', ':', '/', '.', '*', '?', ',', '\0', ' ', 'é', '\ud800');
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 30 }), fc.boolean(), (text, mayBeAll) => {
      let plain: unknown;
      try {
        plain = parseDestination(text);
      } catch {}
      try {
        const pattern = parseDestinationPattern(text, mayBeAll);
        assert.ok(pattern.names.length > 0);
        assert.equal(new Set(pattern.names).size, pattern.names.length);
        for (const name of pattern.names)
          assert.ok(isPattern(name) || instanceNameProblem(name) === undefined, name);
        assert.equal(pathProblem(pattern.path), undefined);
        assert.equal(cleanPath(pattern.path), pattern.path);
        assert.deepEqual(parseDestinationPattern(formatDestinationPattern(pattern)), pattern);
        if (isPlain(pattern) && plain !== undefined) {
          assert.deepEqual(plain, { instance: pattern.names[0], path: pattern.path });
        }
      } catch (error) {
        assert.ok(error instanceof CodedError && error.code === 'usage', String(error));
        assert.equal(plain, undefined, `${text} is a plain destination`);
      }
    }),
    { numRuns: 3000 },
  );
});

test('parseConfigFilter() divides at the first =', () => {
  assert.deepEqual(parseConfigFilter('user.role=web'), { key: 'user.role', value: 'web' });
  assert.deepEqual(parseConfigFilter('user.x=a=b'), { key: 'user.x', value: 'a=b' });
  assert.deepEqual(parseConfigFilter('user.x='), { key: 'user.x', value: '' });
  for (const text of ['', '=x', 'user.role', 'user role=x'])
    assert.throws(() => parseConfigFilter(text), { code: 'usage' }, text);
});
