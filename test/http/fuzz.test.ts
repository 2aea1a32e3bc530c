import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runFuzz } from './fuzz-run.ts';

test('5,000 hostile requests are answered with 4xx or closed, end nothing and leave nothing', async () => {
  const { breaches, requests, outcomes } = await runFuzz({ requests: 5000, seed: 1 });
  assert.deepEqual(breaches, []);
  assert.equal(requests, 5000);
  // Every connection is watched to its end, so how many are refused does not depend on the machine.
  assert.ok((outcomes[400] ?? 0) > 3000, JSON.stringify(outcomes));
  assert.ok((outcomes[202] ?? 0) > 200, JSON.stringify(outcomes));
});

test('whoever has no token learns that somebody is there, whatever is sent, and leaves nothing', async () => {
  const { breaches, outcomes, jobs } = await runFuzz({ requests: 2000, seed: 2, closed: true });
  assert.deepEqual(breaches, []);
  assert.equal(jobs, 0);
  assert.equal(outcomes[202], undefined);
  assert.ok((outcomes[401] ?? 0) > 100, JSON.stringify(outcomes));
});
