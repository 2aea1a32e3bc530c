import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { test } from 'node:test';
import { trace } from '../../src/base/trace.ts';

test('trace() reaches subscribers of its point alone', () => {
  const seen: unknown[] = [];
  const listen = (about: unknown): void => {
    seen.push(about);
  };
  subscribe('incus-upload:before-commit', listen);
  trace('before-commit', 'a');
  trace('after-commit', 'b');
  unsubscribe('incus-upload:before-commit', listen);
  trace('before-commit', 'c');
  assert.deepEqual(seen, ['a']);
});
