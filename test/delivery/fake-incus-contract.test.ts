import { mkdtempSync, rmSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTarget } from '../../src/delivery/open-target.ts';
import { startFakeIncus } from '../support/fake-incus.ts';
import { runTargetContract } from './target-contract.ts';

runTargetContract('A fake Incus', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'fake-incus-'));
  const fake = await startFakeIncus({ socketPath: join(directory, 'socket'), root: join(directory, 'root') });
  fake.addInstance('default', 'c1');
  const target = openTarget(`unix:${fake.socketPath}`);
  const isRoot = process.geteuid?.() === 0;
  return {
    target,
    project: 'default',
    instance: 'c1',
    host: (path) => fake.pathOf('default', 'c1', path),
    look: async (path) => {
      const { mode, uid, gid } = await lstat(fake.pathOf('default', 'c1', path));
      return { mode: mode & 0o7777, uid, gid };
    },
    keepsOwner: isRoot,
    keepsSpecialBits: true,
    close: async () => {
      await target.close();
      await fake.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
});
