/**
 * Removes what an attempt left in an instance: a temporary file, or a staging directory with the files in it. Of a
 * directory only names are removed that an unpacking gives, so that whoever can put something in its place, such as a link
 * to a directory of others, gets nothing else removed.
 */
import { systemCodeOfStatus } from './classify.ts';
import { SftpStatusError } from './seen-errors.ts';
import type { SftpSession } from './sftp-session.ts';

const STAGED = /^[0-9a-z]{1,7}$/;

/** True when it is gone, or is nothing of ours; false when the instance refuses. Rejects when the session ends. */
export async function removeOverSftp(session: SftpSession, path: string): Promise<boolean> {
  const code = await failureOf(session.remove(path));
  if (isGone(code)) return true;
  // OpenSSH and pkg/sftp tell a directory apart in different words, or remove it when it is empty.
  const entries = await listNames(session, path);
  if (entries === undefined) return false;
  const ours = entries.filter((name) => STAGED.test(name));
  const left = await Promise.all(ours.map((name) => failureOf(session.remove(`${path}/${name}`))));
  if (!left.every(isGone)) return false;
  return isGone(await failureOf(session.rmdir(path))) || ours.length < entries.length;
}

/** Undefined when that cannot be told. */
async function listNames(session: SftpSession, path: string): Promise<string[] | undefined> {
  const names: string[] = [];
  try {
    const handle = await session.opendir(path);
    for (;;) {
      const some = await session.readdir(handle);
      if (some === undefined) break;
      for (const name of some) {
        const text = name.toString('latin1');
        if (text !== '.' && text !== '..') names.push(text);
      }
    }
    await session.close(handle);
    return names;
  } catch (error) {
    if (!(error instanceof SftpStatusError)) throw error;
    return undefined;
  }
}

/** `done`, or the system's name of what the instance said. */
async function failureOf(work: Promise<void>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    if (!(error instanceof SftpStatusError)) throw error;
    return systemCodeOfStatus(error) ?? 'unknown';
  }
}

function isGone(code: string): boolean {
  return code === 'done' || code === 'ENOENT' || code === 'ENOTDIR';
}
