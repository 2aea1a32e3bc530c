/**
 * Makes the missing parent directories of a file inside an instance: mode 0755 and the file's owner. A crash between
 * making one and giving it its owner leaves it with root; whoever makes directories at the same time does no harm.
 */
import type { Deadline } from '../deadline.ts';
import { refusal } from '../failure.ts';
import { systemCodeOfStatus } from './classify.ts';
import { directoryOf, typeOf } from './destination.ts';
import { SftpStatusError } from './seen-errors.ts';
import type { SftpSession } from './sftp-session.ts';

const DIRECTORY_MODE = 0o755;

type Owner = { readonly uid: number; readonly gid: number };

/** Makes `directory` and what is missing above it; resolves to how many were missing. Throws refusals, {@link SftpStatusError} and session errors. */
export async function makeParents(
  session: SftpSession,
  directory: string,
  owner: Owner,
  deadline: Deadline,
): Promise<number> {
  const missing: string[] = [];
  for (let at = directory; at !== '/'; at = directoryOf(at)) {
    const type = await deadline.run('look up', () => parentType(session, at));
    if (type === 'directory') break;
    if (type !== undefined) throw refusal('parent_missing', `The parent ${at} is not a directory`);
    missing.push(at);
  }
  for (const path of missing.reverse()) await makeDirectory(session, path, owner, deadline);
  return missing.length;
}

async function makeDirectory(
  session: SftpSession,
  path: string,
  owner: Owner,
  deadline: Deadline,
): Promise<void> {
  try {
    await deadline.run('make directory', () => session.mkdir(path));
  } catch (error) {
    if (!(error instanceof SftpStatusError) || systemCodeOfStatus(error) !== 'EEXIST') throw error;
    // Somebody else made it meanwhile, or it is a link to nothing.
    const type = await deadline.run('look up', () => parentType(session, path));
    if (type === 'directory') return;
    throw refusal('parent_missing', `The parent ${path} is not a directory`);
  }
  const { uid, gid, mode = 0 } = await deadline.run('look up', () => session.lstat(path));
  // By path, which follows links, so only where it must be: SFTP 3 has no way to do it by handle.
  if (uid !== owner.uid || gid !== owner.gid) {
    await deadline.run('give owner', () => session.setstat(path, { uid: owner.uid, gid: owner.gid }));
  }
  if ((mode & 0o777) !== DIRECTORY_MODE) {
    await deadline.run('give mode', () => session.setstat(path, { mode: DIRECTORY_MODE }));
  }
}

/** Like `typeOf`, and a path below something that is no directory is as missing as any. */
async function parentType(session: SftpSession, path: string) {
  try {
    return await typeOf(session.stat(path));
  } catch (error) {
    if (error instanceof SftpStatusError && systemCodeOfStatus(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
