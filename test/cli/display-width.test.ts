import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { displayWidth, padEnd, truncateEnd, truncateStart } from '../../src/cli/display-width.ts';

test('displayWidth() counts wide characters twice and combining ones not at all', () => {
  for (const [text, columns] of [
    ['', 0],
    ['abc', 3],
    ['日本', 4],
    ['e\u0301', 1],
    ['имя', 3],
    ['ｆ', 2],
    ['한', 2],
    ['🙂', 2],
    ['a\u200db', 2],
  ] as const) {
    assert.equal(displayWidth(text), columns, text);
  }
});

test('truncateStart() and truncateEnd() keep to the width and to the text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 30 }), fc.nat(40), (text, columns) => {
      for (const cut of [truncateStart(text, columns), truncateEnd(text, columns)]) {
        assert.ok(displayWidth(cut) <= columns);
        if (displayWidth(text) <= columns) assert.equal(cut, text);
      }
      assert.ok(text.endsWith(truncateStart(text, columns).replace(/^…/, '')));
      assert.ok(text.startsWith(truncateEnd(text, columns).replace(/…$/, '')));
      assert.ok(displayWidth(padEnd(text, columns)) >= columns);
    }),
  );
});

test('truncateStart() does not leave a combining character without its base', () => {
  assert.equal(truncateStart('abe\u0301cd', 3), '…cd');
});
