import { CodedError, messageOf, systemCode } from '../errors.ts';

/** What a failing system call on a source means. */
export function unreadable(path: string, error: unknown): CodedError {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    EACCES: 'permission denied',
    EISDIR: 'it is a directory',
    ELOOP: 'too many symbolic links',
    ENOTDIR: 'a part of the path is no directory',
  };
  const why = reasons[systemCode(error) ?? ''] ?? messageOf(error);
  return new CodedError('source_unreadable', `Cannot read ${path}: ${why}`, { cause: error });
}

export function changedError(path: string): CodedError {
  return new CodedError(
    'source_unreadable',
    `${path} changed while it was read, so nothing was sent; push it again when nothing writes to it`,
  );
}
