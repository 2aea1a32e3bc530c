/**
 * Removes a temporary file, or a staging directory with the files that an unpacking has made in it. What somebody else put
 * there stays, and so does the directory then.
 */
import { constants } from 'node:fs';
import { type FileHandle, readdir, rmdir, unlink } from 'node:fs/promises';
import { systemCode } from '../../errors.ts';
import type { HandleKeeper } from './handle-keeper.ts';
import { entryOf } from './rooted-path.ts';

const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const STAGED = /^[0-9a-z]{1,7}$/;

/** Rejects with the system's error, also when nothing is there. */
export async function removeStaged(parent: FileHandle, name: string, keeper: HandleKeeper): Promise<void> {
  const entry = entryOf(parent, name);
  try {
    await unlink(entry);
    return;
  } catch (error) {
    // Systems differ in what they say of a directory.
    if (systemCode(error) !== 'EISDIR' && systemCode(error) !== 'EPERM') throw error;
  }
  const directory = await keeper.open(entry, OPEN_DIRECTORY);
  const names = await readdir(`/proc/self/fd/${directory.fd}`);
  for (const staged of names) {
    if (STAGED.test(staged)) await unlink(entryOf(directory, staged));
  }
  await keeper.close(directory);
  try {
    await rmdir(entry);
  } catch (error) {
    if (systemCode(error) !== 'ENOTEMPTY' || names.every((staged) => STAGED.test(staged))) throw error;
  }
}
