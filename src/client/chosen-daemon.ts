import type { ConnectionOptions } from './connection.ts';

/** The daemon that is meant, and what says so. */
export type ChosenDaemon = ConnectionOptions & {
  /** For people: `--url`, `the remote lab`. */
  readonly origin: string;
  /** The token file of the remote. */
  readonly tokenFile?: string | undefined;
};
