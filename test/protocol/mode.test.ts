import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatMode, parseMode } from '../../src/protocol/mode.ts';

test('parseMode() reads what formatMode() writes', () => {
  fc.assert(fc.property(fc.nat({ max: 0o7777 }), (mode) => assert.equal(parseMode(formatMode(mode)), mode)));
});

test('parseMode() takes octal digits with and without leading zeros, and nothing else', () => {
  assert.equal(parseMode('644'), 0o644);
  assert.equal(parseMode('0000644'), 0o644);
  assert.equal(parseMode('0'), 0);
  for (const text of ['', '8', '0o644', '-1', '10000', '644 ', '644\n', 'rw'])
    assert.equal(parseMode(text), undefined);
});

test('formatMode() has four digits', () => {
  assert.equal(formatMode(0o644), '0644');
  assert.equal(formatMode(0o4755), '4755');
  assert.equal(formatMode(0), '0000');
});
