import assert from 'node:assert/strict';
import { test } from 'node:test';
import { advise } from '../../src/cli/advice.ts';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';

test('advise() adds what to do where a message does not say it', () => {
  for (const [code, message, expected] of [
    ['queue_full', 'The queue is full; wait.', 'The queue is full; wait'],
    ['not_found', 'There is no job x.', 'There is no job x; check the id'],
    [
      'permission_denied',
      'open: permission denied',
      'The instance does not allow writing there (open: permission denied); choose another path',
    ],
    [
      'instance_disk_full',
      'no space left on device',
      'The disk of the instance is full (no space left on device); make room there',
    ],
    ['queue_full', '', 'The queue is full; try again later'],
    ['cancelled', 'It was cancelled.', 'It was cancelled'],
  ] as const) {
    assert.equal(advise(code, message), expected);
  }
});

test('advise() leaves every sentence of the registry as it is', () => {
  for (const [code, { sentence }] of Object.entries(ERRORS)) {
    assert.equal(advise(code as ErrorCode, sentence), sentence.replace(/\.$/, ''));
  }
});
