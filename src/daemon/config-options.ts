/** Every option: its name, what it takes, its default and its line of help. */
import type { ConfigKey } from './config.ts';
import { findGroupId } from './group.ts';

/** What defaults depend on. */
export type Surroundings = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  /** The groups of the process. */
  readonly groupIds: readonly number[];
  /** The text of /etc/group. */
  readonly groupFile: string;
  readonly stderrIsTerminal: boolean;
};

export type Option = {
  readonly key: ConfigKey;
  /** As a flag without its dashes: `socket-mode`. */
  readonly name: string;
  /** Null for a switch. */
  readonly argument: string | null;
  readonly help: string;
  /** The default as text; undefined when there is none here. */
  readonly fallback: (surroundings: Surroundings) => string | undefined;
  /** What help says of a default that depends on its surroundings. */
  readonly fallbackHelp?: string;
};

const option = (
  key: ConfigKey,
  name: string,
  argument: string | null,
  fallback: string | Option['fallback'],
  help: string,
  fallbackHelp?: string,
): Option => ({
  key,
  name,
  argument,
  help,
  fallback: typeof fallback === 'string' ? () => fallback : fallback,
  ...(fallbackHelp === undefined ? {} : { fallbackHelp }),
});

export const OPTIONS: readonly Option[] = [
  option(
    'listen',
    'listen',
    'ADDR',
    defaultListen,
    'unix:PATH, http://HOST:PORT or https://HOST:PORT; may be repeated',
    'unix:/run/incus-upload/uploadd.sock as root',
  ),
  option('socketMode', 'socket-mode', 'MODE', '0660', 'permission bits of unix sockets'),
  option(
    'socketGroup',
    'socket-group',
    'GROUP',
    defaultGroup,
    'group of unix sockets',
    'incus-admin if it exists',
  ),
  option(
    'stateDir',
    'state-dir',
    'DIR',
    defaultStateDir,
    'where accepted files and the journal are kept',
    '/var/lib/incus-upload as root',
  ),
  option('target', 'target', 'URL', 'incus', 'incus, unix:PATH, https://HOST:8443 or dir:PATH'),
  option('targetCert', 'target-cert', 'FILE', 'none', 'client certificate for an https target'),
  option('targetKey', 'target-key', 'FILE', 'none', 'key of that certificate'),
  option(
    'targetServerCert',
    'target-server-cert',
    'FILE',
    'none',
    'certificate that an https target must show',
  ),
  option('concurrency', 'concurrency', 'N', '8', 'deliveries at once'),
  option('instanceConcurrency', 'instance-concurrency', 'N', '4', 'deliveries at once on one instance'),
  option('maxAttempts', 'max-attempts', 'N', '10', 'attempts before a job fails'),
  option(
    'retryMinDelayMs',
    'retry-min-delay',
    'DURATION',
    '1s',
    'wait after the first failed attempt; doubles',
  ),
  option('retryMaxDelayMs', 'retry-max-delay', 'DURATION', '5m', 'longest wait between attempts'),
  option(
    'slowRetryDelayMs',
    'slow-retry-delay',
    'DURATION',
    '1m',
    'least wait when the disk of an instance is full',
  ),
  option('deliveryTimeoutMs', 'delivery-timeout', 'DURATION', '60s', 'ends an attempt without progress'),
  option('maxUploadSizeBytes', 'max-upload-size', 'SIZE', 'none', 'refuses larger files'),
  option(
    'maxQueuedJobs',
    'max-queued-jobs',
    'N',
    '100000',
    'refuses uploads beyond that many unfinished jobs',
  ),
  option('maxUploads', 'max-uploads', 'N', '256', 'uploads at once'),
  option('minFreeSpaceBytes', 'min-free-space', 'SIZE', '1GiB', 'refuses uploads when less would stay free'),
  option('bodyTimeoutMs', 'body-timeout', 'DURATION', '60s', 'ends an upload that sends nothing'),
  option('retentionMs', 'retention', 'DURATION', '7d', 'keeps finished jobs, and the files of failed ones'),
  option('lingerMs', 'linger', 'DURATION', '60s', 'keeps a delivered file that long'),
  option(
    'shutdownGraceMs',
    'shutdown-grace',
    'DURATION',
    '30s',
    'time for uploads and attempts under way at the end',
  ),
  option('tlsCert', 'tls-cert', 'FILE', 'none', 'certificate of https listeners'),
  option('tlsKey', 'tls-key', 'FILE', 'none', 'key of that certificate'),
  option(
    'tlsClientCa',
    'tls-client-ca',
    'FILE',
    'none',
    'clients may show a certificate signed by this one instead of a token',
  ),
  option('noAuth', 'no-auth', null, 'false', 'asks for no token on a loopback http:// listener'),
  option('logLevel', 'log-level', 'LEVEL', 'info', 'trace, debug, info, warn, error or fatal'),
  option(
    'logFormat',
    'log-format',
    'FORMAT',
    ({ stderrIsTerminal }) => (stderrIsTerminal ? 'text' : 'json'),
    'text or json',
    'text on a terminal, else json',
  ),
];

/** `socket-mode` as a key of the config file. */
export function fileKey(name: string): string {
  return name.replaceAll('-', '_');
}

/** `socket-mode` as an environment variable. */
export function environmentName(name: string): string {
  return `INCUS_UPLOADD_${fileKey(name).toUpperCase()}`;
}

function defaultListen({ env, uid }: Surroundings): string | undefined {
  if (uid === 0) return 'unix:/run/incus-upload/uploadd.sock';
  // systemd separates several RuntimeDirectory= by colons.
  const given = env.RUNTIME_DIRECTORY?.split(':')[0];
  if (given) return `unix:${given}/uploadd.sock`;
  return env.XDG_RUNTIME_DIR ? `unix:${env.XDG_RUNTIME_DIR}/incus-upload/uploadd.sock` : undefined;
}

/** Only a group that the process may give its sockets to: an ordinary user outside of it needs no error. */
function defaultGroup({ uid, groupIds, groupFile }: Surroundings): string {
  const id = findGroupId('incus-admin', groupFile);
  return id !== undefined && (uid === 0 || groupIds.includes(id)) ? 'incus-admin' : 'none';
}

function defaultStateDir({ env, uid }: Surroundings): string | undefined {
  // systemd separates several StateDirectory= by colons.
  const given = env.STATE_DIRECTORY?.split(':')[0];
  if (given) return given;
  if (uid === 0) return '/var/lib/incus-upload';
  if (env.XDG_STATE_HOME) return `${env.XDG_STATE_HOME}/incus-upload`;
  return env.HOME ? `${env.HOME}/.local/state/incus-upload` : undefined;
}
