import type { ListenAddress } from './listen-address.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const LOG_FORMATS = ['text', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Everything the daemon can be told, checked. Names carry their units; paths are as written. */
export type Config = {
  readonly listen: readonly ListenAddress[];
  /** Permission bits of unix sockets. */
  readonly socketMode: number;
  /** Name or number of the group of unix sockets; null leaves the group of the process. */
  readonly socketGroup: string | null;
  readonly stateDir: string;
  /** `incus`, `unix:PATH`, `https://HOST:PORT` or `dir:PATH`. */
  readonly target: string;
  /** PEM files for an https target: client certificate and key, and the server's certificate to be pinned. */
  readonly targetCert: string | null;
  readonly targetKey: string | null;
  readonly targetServerCert: string | null;
  readonly concurrency: number;
  readonly instanceConcurrency: number;
  readonly maxAttempts: number;
  readonly retryMinDelayMs: number;
  readonly retryMaxDelayMs: number;
  /** Least wait after an attempt that met a full disk. */
  readonly slowRetryDelayMs: number;
  readonly deliveryTimeoutMs: number;
  readonly maxUploadSizeBytes: number | null;
  readonly maxQueuedJobs: number;
  readonly maxUploads: number;
  readonly minFreeSpaceBytes: number;
  readonly bodyTimeoutMs: number;
  readonly retentionMs: number;
  /** A delivered payload is kept that long. */
  readonly lingerMs: number;
  readonly shutdownGraceMs: number;
  /** PEM files for https listeners; with a client CA, a certificate that it signed is as good as a token. */
  readonly tlsCert: string | null;
  readonly tlsKey: string | null;
  readonly tlsClientCa: string | null;
  readonly noAuth: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
};

export type ConfigKey = keyof Config;
