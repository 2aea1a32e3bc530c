import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withRetries } from '../../src/client/retry.ts';
import { CodedError } from '../../src/errors.ts';

function failing(code: 'queue_full' | 'too_large', times: number): () => Promise<number> {
  let calls = 0;
  return async () => {
    calls += 1;
    if (calls <= times) throw new CodedError(code);
    return calls;
  };
}

test('withRetries() goes on until it succeeds', async () => {
  const delays: number[] = [];
  const calls = await withRetries(failing('queue_full', 1), {
    retries: 3,
    onRetry: (_, delayMs) => delays.push(delayMs),
  });
  assert.equal(calls, 2);
  assert.ok(delays[0] !== undefined && delays[0] >= 250 && delays[0] <= 500);
});

test('withRetries() gives up after so many retries, or when it may not repeat', async () => {
  await assert.rejects(withRetries(failing('queue_full', 9), { retries: 1 }), { code: 'queue_full' });
  await assert.rejects(withRetries(failing('queue_full', 1), { retries: 9, mayRepeat: () => false }), {
    code: 'queue_full',
  });
});

test('withRetries() does not repeat what would fail again', async () => {
  const onRetry = (): void => assert.fail();
  await assert.rejects(withRetries(failing('too_large', 1), { retries: 3, onRetry }), { code: 'too_large' });
});

test('withRetries() waits as long as the daemon asks, and stops at the signal', async () => {
  const controller = new AbortController();
  const attempt = async (): Promise<never> => {
    throw new CodedError('draining', undefined, { retryAfterSeconds: 3600 });
  };
  const waiting = withRetries(attempt, {
    retries: 1,
    signal: controller.signal,
    onRetry: (_, delayMs) => {
      assert.equal(delayMs, 3_600_000);
      controller.abort(new CodedError('interrupted'));
    },
  });
  await assert.rejects(waiting, { code: 'interrupted' });
});
