/** An Incus that is restarted meanwhile; one of its own, since others would be cut off with it. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { openTarget } from '../../src/delivery/open-target.ts';
import { createInlineSource } from '../../src/delivery/payload-source.ts';
import type { TargetEvent } from '../../src/delivery/target.ts';
import { createDelivery, createReadSource, patternBytes, until } from '../delivery/delivery-builder.ts';
import { incusSkipReason, openRealIncus } from '../support/incus.ts';

it('deliver() tells that Incus is away while it restarts, and watch() that it is back', {
  skip: incusSkipReason() ?? false,
  timeout: 180_000,
}, async (t) => {
  const incus = await openRealIncus({ own: true });
  t.after(() => incus.close());
  const target = openTarget(`unix:${incus.socketPath}`);
  t.after(() => target.close());
  const deliver = (path: string, payload = createReadSource(patternBytes(200_000))) =>
    target.deliver(createDelivery({ instance: 'c1', path, payload }));

  const events: TargetEvent[] = [];
  t.after(target.watch((event) => events.push(event)));
  const codes = new Set<string>();
  let restarted = false;
  const restarting = incus.restart().finally(() => {
    restarted = true;
  });
  while (!restarted) {
    const outcome = await deliver('/opt/while restarting');
    if (outcome.kind === 'permanent') assert.fail(JSON.stringify(outcome));
    if (outcome.kind === 'delivered') continue;
    codes.add(`${outcome.scope} ${outcome.error.code}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await restarting;
  assert.ok(codes.has('target target_unreachable'), [...codes].join());
  await until('watch() tells that Incus is back', () => events.some(({ kind }) => kind === 'target'));
  assert.equal((await deliver('/opt/after', createInlineSource(Buffer.from('x')))).kind, 'delivered');
});
