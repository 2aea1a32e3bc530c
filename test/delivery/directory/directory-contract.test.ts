import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTarget } from '../../../src/delivery/open-target.ts';
import { runTargetContract } from '../target-contract.ts';

runTargetContract('A directory', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'directory-target-'));
  mkdirSync(join(directory, 'c1'));
  const target = openTarget(`dir:${directory}`);
  const host = (path: string) => join(directory, 'c1', path);
  return {
    target,
    project: 'default',
    instance: 'c1',
    host,
    look: async (path) => {
      const { mode, uid, gid } = await lstat(host(path));
      return { mode: mode & 0o7777, uid, gid };
    },
    keepsOwner: process.geteuid?.() === 0,
    keepsSpecialBits: true,
    close: async () => {
      await target.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
});
