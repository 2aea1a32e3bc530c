import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchesGlob } from '../../src/base/glob.ts';

const CASES: [string, string, boolean][] = [
  ['/etc/motd', '/etc/motd', true],
  ['/etc/motd', '/etc/motd2', false],
  ['/srv/*', '/srv/a', true],
  ['/srv/*', '/srv/', true],
  ['/srv/*', '/srv/a/b', false],
  ['/srv/*', '/srv', false],
  ['/srv/**', '/srv/a/b', true],
  ['/srv/**', '/srv', false],
  ['/srv/**', '/srvx/a', false],
  ['/srv/**/x', '/srv/a/b/x', true],
  ['/srv/**/x', '/srv/x', false],
  ['/srv/*.conf', '/srv/a.conf', true],
  ['/srv/*.conf', '/srv/a.conf.sh', false],
  ['/srv/?', '/srv/ü', true],
  ['/srv/?', '/srv//', false],
  ['/srv/a.c', '/srv/abc', false],
  ['/srv/[a]', '/srv/a', false],
  ['web-*', 'web-1', true],
  ['web-*', 'aweb-1', false],
  ['**', '/anything/at/all\n', true],
  ['*', 'a\nb', true],
];
for (const [pattern, text, expected] of CASES) {
  test(`matchesGlob() of ${JSON.stringify(pattern)} and ${JSON.stringify(text)} is ${expected}`, () => {
    assert.equal(matchesGlob(pattern, text), expected);
  });
}

test('matchesGlob() agrees with a regular expression', () => {
  const parts = fc.array(fc.constantFrom('a', 'b', '/', '*', '**', '?', '.', 'ü'), { maxLength: 8 });
  const text = fc.array(fc.constantFrom('a', 'b', '/', '.', 'ü'), { maxLength: 10 });
  fc.assert(
    fc.property(parts, text, (pattern, letters) => {
      const glob = pattern.join('');
      const source = glob.replaceAll(/\*\*+|[\s\S]/gu, (token) => {
        if (token.length > 1 && token.startsWith('*')) return '[^]*';
        return token === '*' ? '[^/]*' : token === '?' ? '[^/]' : token.replace(/[./]/, '\\$&');
      });
      const joined = letters.join('');
      assert.equal(matchesGlob(glob, joined), new RegExp(`^${source}$`, 'u').test(joined));
    }),
    { numRuns: 2000 },
  );
});

test('matchesGlob() ends soon for a pattern that would keep a backtracking matcher busy for ever', () => {
  assert.equal(matchesGlob(`/${'**a'.repeat(50)}`, `/${'a'.repeat(4000)}b`), false);
});
