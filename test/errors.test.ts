import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodedError, ERRORS, isErrorCode, messageOf, systemCode } from '../src/errors.ts';

test('ERRORS has a status, an exit status and one plain sentence for each code', () => {
  for (const [code, { http, exit, sentence }] of Object.entries(ERRORS)) {
    assert.match(code, /^[a-z]+(_[a-z]+)*$/);
    assert.ok(http >= 400 && http <= 599, code);
    assert.ok(exit > 0 && exit < 256, code);
    assert.match(sentence, /^[A-Z][^\n]*\.$/, code);
  }
});

test('ERRORS gives status 75 and 74 only to what may be tried again', () => {
  for (const [code, { exit, retryable }] of Object.entries(ERRORS)) {
    if (exit === 75 || exit === 74) assert.equal(retryable, true, code);
  }
});

test('isErrorCode() knows the codes and nothing that every object has', () => {
  assert.equal(isErrorCode('timed_out'), true);
  for (const text of ['', 'toString', '__proto__', 'constructor', 'nonsense'])
    assert.equal(isErrorCode(text), false);
});

test('CodedError says its own message or the sentence of its code', () => {
  assert.equal(new CodedError('queue_full').message, ERRORS.queue_full.sentence);
  const cause = new Error('deep');
  const error = new CodedError('queue_full', 'no room', { cause, retryAfterSeconds: 3 });
  assert.deepEqual([error.message, error.cause, error.retryAfterSeconds], ['no room', cause, 3]);
});

test('systemCode() and messageOf() take whatever was thrown', () => {
  assert.equal(systemCode(Object.assign(new Error('x'), { code: 'ENOENT' })), 'ENOENT');
  for (const thrown of [undefined, null, 'text', 7, {}, { code: 7 }]) {
    assert.equal(systemCode(thrown), undefined);
    assert.equal(typeof messageOf(thrown), 'string');
  }
});
