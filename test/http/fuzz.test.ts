import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runFuzz } from './fuzz-run.ts';

test('5,000 hostile requests are answered with 4xx or closed, end nothing and leave nothing', async () => {
  const { breaches, requests, outcomes } = await runFuzz({ requests: 5000, seed: 1 });
  assert.deepEqual(breaches, []);
  assert.equal(requests, 5000);
  // How many are answered in time depends on the machine; that the daemon says 400 at all does not.
  assert.ok((outcomes[400] ?? 0) > 20);
});
