import { systemCodeOfStatus } from './classify.ts';
import { SftpStatusError } from './seen-errors.ts';
import type { SftpSession } from './sftp-session.ts';

/** Removes a file; true when it is gone, false when the instance refuses. Rejects when the session ends. */
export async function removeOverSftp(session: SftpSession, path: string): Promise<boolean> {
  try {
    await session.remove(path);
    return true;
  } catch (error) {
    if (!(error instanceof SftpStatusError)) throw error;
    const code = systemCodeOfStatus(error);
    return code === 'ENOENT' || code === 'ENOTDIR';
  }
}
