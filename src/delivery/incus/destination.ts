/**
 * Finds out where exactly a file shall go inside an instance, over SFTP. Changes nothing.
 *
 * As `incus file push` does, a symbolic link at the destination is followed: to a directory, the file goes into it; to
 * a file, the file it points to is replaced, in that file's own directory, and the link stays. A link to nothing is
 * itself replaced. What is neither file nor directory nor link (a device, a pipe, a socket) is refused: renaming over
 * `/dev/null` would break the instance.
 */
import type { JobDestination } from '../../protocol/job.ts';
import { refusal } from '../failure.ts';
import { systemCodeOfStatus } from './classify.ts';
import { SftpStatusError } from './seen-errors.ts';
import type { SftpAttributes } from './sftp-packet.ts';
import type { SftpSession } from './sftp-session.ts';

export type FileType = 'file' | 'directory' | 'link' | 'other';

export type ResolvedDestination = {
  /** The path of the file as its user names it. */
  readonly path: string;
  /** What the rename replaces: `path`, or the file that a link there points to. */
  readonly realPath: string;
};

/** As many links as Linux follows. */
const MAX_LINKS = 40;

/** Throws refusals, {@link SftpStatusError} and whatever ends the session. */
export async function resolveDestination(
  session: SftpSession,
  { path, sourceName }: JobDestination,
): Promise<ResolvedDestination> {
  if (!path.endsWith('/')) {
    const found = await lookUp(session, path);
    if (found !== 'directory') return { path, realPath: found };
  }
  if (sourceName === '') {
    throw refusal(
      'destination_is_directory',
      `The destination ${path} is a directory and the file has no name`,
    );
  }
  const inside = joinPath(path, sourceName);
  const found = await lookUp(session, inside);
  if (found === 'directory') {
    throw refusal('destination_is_directory', `The destination ${inside} is a directory`);
  }
  return { path: inside, realPath: found };
}

/** The path that a rename to `path` shall replace, or `directory`. A missing file is replaced like one that is there. */
async function lookUp(session: SftpSession, path: string): Promise<string | 'directory'> {
  let at = path;
  for (let links = 0; links <= MAX_LINKS; links += 1) {
    const type = await typeOf(session.lstat(at));
    if (type === undefined || type === 'file') return at;
    if (type === 'directory') return 'directory';
    if (type === 'other') {
      throw refusal(
        'permission_denied',
        `The destination ${path} is a device, a pipe or a socket, not a file`,
      );
    }
    const [target, bytes] = await Promise.all([typeOf(session.stat(at)), session.readlink(at)]);
    if (target === undefined) return path;
    if (target === 'directory') return 'directory';
    const text = bytes.toString('utf8');
    if (!Buffer.from(text).equals(bytes)) {
      throw refusal('permission_denied', `The destination ${path} is a link to a name that is not UTF-8`);
    }
    // Not cleaned: `..` after a directory that is itself a link means that directory's real parent.
    at = text.startsWith('/') ? text : joinPath(directoryOf(at), text);
  }
  throw refusal('parent_missing', `The destination ${path} goes through too many links`);
}

/** The type of what is there, or undefined when nothing is. */
export async function typeOf(asked: Promise<SftpAttributes>): Promise<FileType | undefined> {
  try {
    return fileTypeOf((await asked).mode ?? 0);
  } catch (error) {
    if (error instanceof SftpStatusError && systemCodeOfStatus(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function fileTypeOf(mode: number): FileType {
  switch (mode & 0o170000) {
    case 0o100000:
      return 'file';
    case 0o040000:
      return 'directory';
    case 0o120000:
      return 'link';
    default:
      return 'other';
  }
}

/** The directory that holds `path`, without a final `/` unless it is the root. */
export function directoryOf(path: string): string {
  const trimmed = path.replace(/\/+$/, '');
  return trimmed.slice(0, Math.max(trimmed.lastIndexOf('/'), 1));
}

export function joinPath(directory: string, name: string): string {
  return directory.endsWith('/') ? directory + name : `${directory}/${name}`;
}
