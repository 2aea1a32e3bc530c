import {
  type ClientConfig,
  LOCAL,
  type Remote,
  readClientConfig,
  removeRemote,
  setDefaultRemote,
} from '../client/client-config.ts';
import { CodedError } from '../errors.ts';
import type { GlobalFlags } from './context.ts';
import { displayWidth, padEnd } from './display-width.ts';
import { createOutput, printable } from './output.ts';

const FINGERPRINT_SHOWN = 12;

/** `remote list`: a table; names alone with `-q`. Tokens are never shown. */
export function runRemoteList(flags: GlobalFlags): number {
  const output = createOutput(flags);
  const config = readClientConfig(process.env);
  if (flags.json) for (const remote of config.remotes) output.out(encodeRemote(remote, config));
  else if (flags.quiet) for (const { name } of config.remotes) output.out(printable(name));
  else if (config.remotes.length === 0) output.err('no remotes; add one: incus-upload remote add NAME URL');
  else for (const line of table(config)) output.out(line);
  return 0;
}

/** `remote remove NAME` */
export function runRemoteRemove(name: string, flags: GlobalFlags): number {
  removeRemote(process.env, name);
  if (!flags.quiet && !flags.json) createOutput(flags).err(`${printable(name)} is forgotten`);
  return 0;
}

/** `remote default`: prints the name; with a name makes it the default. */
export function runRemoteDefault(name: string | undefined, flags: GlobalFlags): number {
  const output = createOutput(flags);
  if (name !== undefined) {
    setDefaultRemote(process.env, name);
    return 0;
  }
  const current = readClientConfig(process.env).defaultName ?? LOCAL;
  output.out(flags.json ? JSON.stringify({ name: current }) : printable(current));
  return 0;
}

/** A name that can be typed, and that YAML and shells leave alone. */
export function checkRemoteName(name: string, { remotes, path }: ClientConfig): void {
  if (!/^[A-Za-z0-9][\w.-]{0,62}$/.test(name)) {
    throw new CodedError(
      'usage',
      `Not a name for a remote: ${JSON.stringify(name)}; expected letters, digits, dashes, dots and underscores`,
    );
  }
  if (name === LOCAL)
    throw new CodedError('usage', `${LOCAL} is the daemon of this machine; choose another name`);
  if (remotes.some((remote) => remote.name === name)) {
    throw new CodedError(
      'usage',
      `There is a remote ${name} in ${path} already; choose another name, or first: incus-upload remote remove ${name}`,
    );
  }
}

/** One JSON object, without the token. */
export function encodeRemote(remote: Remote, { defaultName }: Pick<ClientConfig, 'defaultName'>): string {
  return JSON.stringify({
    name: remote.name,
    url: remote.url,
    default: remote.name === defaultName,
    fingerprint: remote.fingerprint ?? null,
    token: tokenOf(remote) ?? null,
    token_file: remote.tokenFile ?? null,
    cert: remote.certFile ?? null,
    key: remote.keyFile ?? null,
  });
}

function tokenOf({ token, tokenFile }: Remote): 'stored' | 'file' | undefined {
  if (token !== undefined) return 'stored';
  return tokenFile === undefined ? undefined : 'file';
}

function table(config: ClientConfig): string[] {
  const rows = [
    ['NAME', 'URL', 'CERTIFICATE', 'TOKEN'],
    ...config.remotes.map((remote) => [
      printable(remote.name) + (remote.name === config.defaultName ? ' (default)' : ''),
      printable(remote.url),
      certificateOf(remote),
      printable(remote.tokenFile ?? tokenOf(remote) ?? '-'),
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => displayWidth(row[column] ?? ''))));
  const padded = (cell: string, column: number): string => padEnd(cell, widths?.[column] ?? 0);
  return rows.map((row) => row.map(padded).join('  ').trimEnd());
}

function certificateOf({ url, fingerprint }: Remote): string {
  if (fingerprint !== undefined) return `pinned ${fingerprint.slice(0, FINGERPRINT_SHOWN)}`;
  return url.startsWith('https:') ? 'verified' : '-';
}
