import type { FilterRule } from '../client/path-filter.ts';

export type PushOptions = {
  readonly wait?: boolean;
  /** Milliseconds. */
  readonly timeout?: number;
  readonly checksum?: boolean;
  readonly jobs: number;
  readonly retries: number;
  readonly mode?: number;
  readonly uid: number;
  readonly gid: number;
  readonly createDirs: boolean;
  readonly recursive?: boolean;
  readonly dereference?: boolean;
  readonly extract?: boolean;
  /** What --exclude, --include and --exclude-from say, in their order. */
  readonly rules: readonly FilterRule[];
};
