import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { createInlineSource } from '../../../src/delivery/payload-source.ts';
import type { Outcome } from '../../../src/delivery/target.ts';
import type { FakeFaults } from '../../support/fake-incus.ts';
import { createReadSource } from '../delivery-builder.ts';
import type { FakeWorld } from './fake-world.ts';

const TIMEOUT_MS = 600;

/** Delivers with a fault on; the path starts out with other content, which must stay or be replaced whole. */
export async function deliverWithFaults(
  world: FakeWorld,
  faults: FakeFaults,
  bytes: Buffer = Buffer.from('new'),
  inline = true,
): Promise<Outcome> {
  fs.writeFileSync(world.host('/opt/file'), 'old');
  Object.assign(world.fake.faults, faults);
  const startedAt = performance.now();
  const outcome = await world.deliver({
    timeoutMs: TIMEOUT_MS,
    payload: inline ? createInlineSource(bytes) : createReadSource(bytes),
  });
  assert.ok(performance.now() - startedAt < 20 * TIMEOUT_MS, 'it took too long');
  const now = fs.readFileSync(world.host('/opt/file'));
  assert.ok(now.equals(Buffer.from('old')) || now.equals(bytes), 'a part became visible');
  return outcome;
}

export function assertTransient(outcome: Outcome, code: string, scope: string, left: boolean): void {
  assert.equal(outcome.kind, 'transient', JSON.stringify(outcome));
  if (outcome.kind !== 'transient') return;
  const seen = [outcome.error.code, outcome.scope, outcome.temporaryLeft];
  assert.deepEqual(seen, [code, scope, left], outcome.error.message);
  assert.ok(outcome.error.retryable);
}
