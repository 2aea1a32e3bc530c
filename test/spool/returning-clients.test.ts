import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReturningClients } from '../../src/spool/returning-clients.ts';

/** Each look at who waits takes `lookMs`; `count` is told which look it is. Returns the looks that were taken. */
async function waitFor(
  answered: { clients: number; waiting?: number; commitMs: number; agoMs?: number },
  lookMs: number,
  count: (look: number) => number,
): Promise<number> {
  let nowMs = 1000;
  const returning = new ReturningClients(() => nowMs);
  returning.answered(answered.clients, answered.waiting ?? 0, answered.commitMs);
  nowMs += answered.agoMs ?? 0;
  let looks = 0;
  await returning.wait(() => {
    looks += 1;
    nowMs += lookMs;
    return count(looks);
  });
  return looks;
}

test('ReturningClients.wait() ends when those who were answered wait again, and those who came meanwhile', async () => {
  assert.equal(await waitFor({ clients: 7, commitMs: 8 }, 0.1, (look) => look), 7);
  assert.equal(await waitFor({ clients: 4, waiting: 5, commitMs: 8 }, 0.1, (look) => look), 9);
});

test('ReturningClients.wait() gives up after a quarter of what the commit took, and after 2 ms', async () => {
  assert.equal(await waitFor({ clients: 2, commitMs: 4 }, 0.25, () => 1), 4);
  assert.equal(await waitFor({ clients: 2, commitMs: 60_000 }, 0.25, () => 1), 8);
});

test('ReturningClients.wait() waits for nobody alone, nor for those of long ago', async () => {
  assert.equal(await waitFor({ clients: 1, commitMs: 8 }, 0.1, () => 0), 0);
  assert.equal(await waitFor({ clients: 9, commitMs: 8, agoMs: 21 }, 0.1, () => 0), 0);
  let looks = 0;
  await new ReturningClients().wait(() => {
    looks += 1;
    return 0;
  });
  assert.equal(looks, 0);
});
