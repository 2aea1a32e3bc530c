/** Files and directories that are sent as one archive, as they were when they were looked at. */

export type TreeEntry = {
  /** Where it is read. */
  readonly path: string;
  /** In the archive, relative to the destination; that of a directory ends in `/`. */
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'symlink';
  readonly mode: number;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  readonly inode: number;
  /** Of a symbolic link. */
  readonly target: string;
};

export type Tree = {
  readonly entries: readonly TreeEntry[];
  /** Files and symbolic links. */
  readonly files: number;
  /** What was left out, each with its reason. */
  readonly skipped: readonly string[];
};
