import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseKeys } from '../../src/cli/keys.ts';

test('parseKeys() tells letters, arrows of both kinds, and keys that came together', () => {
  assert.deepEqual(parseKeys('q'), ['q']);
  assert.deepEqual(parseKeys('\u001b[A\u001bOBjk'), ['up', 'down', 'j', 'k']);
  assert.deepEqual(parseKeys('\u001b[5~\u001b[6~\u001b[H\u001b[4~'), ['page-up', 'page-down', 'home', 'end']);
  assert.deepEqual(parseKeys('\u0003'), ['interrupt']);
  assert.deepEqual(parseKeys('\u001b'), ['escape']);
});

test('parseKeys() takes no letter out of a sequence that it does not know', () => {
  assert.deepEqual(parseKeys('\u001b[1;5q\u001b[?1c'), ['unknown', 'unknown']);
});
