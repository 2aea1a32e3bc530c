import type { FilterRule } from '../client/path-filter.ts';
import type { ConfigFilter } from '../protocol/destination-pattern.ts';

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
  /** Destinations instead of the last operand. */
  readonly to?: readonly string[];
  readonly allWith?: readonly ConfigFilter[];
};
