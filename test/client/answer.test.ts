import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRetryAfter, readProblem } from '../../src/client/answer.ts';

test('parseRetryAfter() reads seconds and dates', () => {
  assert.equal(parseRetryAfter('120', 0), 120);
  assert.equal(parseRetryAfter('Thu, 01 Jan 1970 00:00:10 GMT', 4000), 6);
  assert.equal(parseRetryAfter('Thu, 01 Jan 1970 00:00:10 GMT', 14_000), 0);
  assert.equal(parseRetryAfter('soon', 0), undefined);
  assert.equal(parseRetryAfter(undefined, 0), undefined);
});

test('readProblem() takes code and detail of a problem document', () => {
  const text = '{"type":"about:blank","title":"t","status":507,"detail":"3 bytes left","code":"disk_low"}';
  const error = readProblem(507, { 'retry-after': '30' }, text);
  assert.deepEqual([error.code, error.message, error.retryAfterSeconds], ['disk_low', '3 bytes left', 30]);
});

test('readProblem() makes do with the status and a line of text', () => {
  for (const [status, code] of [
    [401, 'unauthorized'],
    [403, 'forbidden'],
    [404, 'not_found'],
    [413, 'too_large'],
    [418, 'bad_request'],
    [429, 'too_many_uploads'],
    [500, 'internal'],
    [502, 'daemon_unreachable'],
    [503, 'not_ready'],
    [507, 'disk_low'],
  ] as const) {
    const error = readProblem(status, {}, 'No.\nNever.');
    assert.deepEqual([error.code, error.message], [code, 'No.']);
  }
  assert.equal(readProblem(502, {}, '<html>Bad gateway</html>').message, 'The daemon answered 502.');
  assert.equal(readProblem(400, {}, '{"code":"of a later daemon"}').message, 'The daemon answered 400.');
});
