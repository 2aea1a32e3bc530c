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
};
