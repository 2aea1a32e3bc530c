import { CodedError, messageOf, systemCode } from '../errors.ts';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file; check its name',
  EACCES: 'permission denied; ask its owner, or read it as another user',
  EISDIR: 'it is a directory; use -r to send it',
  ELOOP: 'too many symbolic links; name the file that they should lead to',
  ENOTDIR: 'a part of the path is no directory; check its name',
};

/** What a failing system call on a source means. */
export function unreadable(path: string, error: unknown): CodedError {
  const code = systemCode(error) ?? '';
  const message =
    code === 'ENOENT' && /[*?[]/.test(path)
      ? `Nothing matches ${path}, which the shell therefore left as it is; check directory and pattern`
      : `Cannot read ${path}: ${REASONS[code] ?? messageOf(error)}`;
  return new CodedError('source_unreadable', message, { cause: error });
}

export function changedError(path: string): CodedError {
  return new CodedError(
    'source_unreadable',
    `${path} changed while it was read, so it was not accepted; push it again when nothing writes to it`,
  );
}
