import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IncusTarget } from '../../../src/delivery/incus/incus-target.ts';
import type { Delivery } from '../../../src/delivery/target.ts';
import { startFakeIncus } from '../../support/fake-incus.ts';
import { createDelivery } from '../delivery-builder.ts';

/** A fake Incus with one instance, and a target for it. */
export async function openFakeWorld() {
  const directory = mkdtempSync(join(tmpdir(), 'fake-incus-'));
  const fake = await startFakeIncus({ socketPath: join(directory, 'socket'), root: join(directory, 'root') });
  fake.addInstance('default', 'c1');
  const target = new IncusTarget({ kind: 'unix', socketPath: fake.socketPath });
  return {
    fake,
    target,
    host: (path: string) => fake.pathOf('default', 'c1', path),
    deliver: (changes: Partial<Delivery>) => target.deliver(createDelivery(changes)),
    close: async () => {
      await target.close();
      await fake.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export type FakeWorld = Awaited<ReturnType<typeof openFakeWorld>>;
