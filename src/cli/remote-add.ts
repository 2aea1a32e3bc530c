import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type Address, formatAddress, parseAddress } from '../client/address.ts';
import { addRemote, type Remote, readClientConfig } from '../client/client-config.ts';
import { openConnection } from '../client/connection.ts';
import { getInfo } from '../client/info.ts';
import { fetchServerCertificate } from '../client/tls-connector.ts';
import { readToken } from '../client/token.ts';
import { transportError } from '../client/transport-error.ts';
import { parseFingerprint, type Trust } from '../client/trust.ts';
import { CodedError } from '../errors.ts';
import type { GlobalFlags } from './context.ts';
import { watchInterruption } from './interruption.ts';
import { createOutput, type Output } from './output.ts';
import { checkRemoteName, encodeRemote } from './remote.ts';

export type RemoteAddOptions = {
  readonly token?: string;
  /** True: whatever certificate it shows. */
  readonly acceptFingerprint?: string | true;
  readonly cert?: string;
  readonly key?: string;
};

/**
 * `remote add NAME URL`. A certificate that no authority vouches for is pinned once somebody has said that it is the
 * right one; a token or certificate of ours is tried before it is kept.
 */
export async function runRemoteAdd(
  name: string,
  url: string,
  options: RemoteAddOptions,
  flags: GlobalFlags,
): Promise<number> {
  const output = createOutput(flags);
  checkRemoteName(name, readClientConfig(process.env));
  const address = parseAddress(url);
  const own = ownOptions(address, options, flags);
  const { signal, stop } = watchInterruption();
  try {
    const fingerprint = await chooseFingerprint(address, own, options.acceptFingerprint, output, signal);
    const remote: Remote = { ...own, name, url: formatAddress(address), fingerprint };
    if (own.token !== undefined || own.tokenFile !== undefined || own.certFile !== undefined)
      await tryCredentials(address, remote, signal);
    // Somebody may have added it while the question was open.
    checkRemoteName(name, readClientConfig(process.env));
    addRemote(process.env, remote);
    if (flags.json) output.out(encodeRemote(remote, { defaultName: undefined }));
    else if (!flags.quiet) {
      if (isInTheClear(address, own))
        output.err(
          `warning: ${remote.url} sends the token in the clear; use https:// outside of this machine`,
        );
      output.err(
        `${name} is known; use it with --remote ${name}, or always: incus-upload remote default ${name}`,
      );
    }
    return 0;
  } finally {
    stop();
  }
}

function ownOptions(
  address: Address,
  { token, cert, key, acceptFingerprint }: RemoteAddOptions,
  { tokenFile }: GlobalFlags,
): Omit<Remote, 'name' | 'url' | 'fingerprint'> {
  const refuse = (message: string): never => {
    throw new CodedError('usage', message);
  };
  if (token !== undefined && tokenFile !== undefined) refuse('Give either --token or --token-file');
  if ((cert === undefined) !== (key === undefined)) refuse('--cert and --key belong together: give both');
  if (httpsUrl(address) === undefined && (cert !== undefined || acceptFingerprint !== undefined))
    refuse(
      `${formatAddress(address)} has no certificates; --cert, --key and --accept-fingerprint need https://`,
    );
  const path = (file: string | undefined): string | undefined =>
    file === undefined ? undefined : resolve(file);
  return { token, tokenFile: path(tokenFile), certFile: path(cert), keyFile: path(key) };
}

/** The fingerprint to pin; undefined when the certificate needs none. */
async function chooseFingerprint(
  address: Address,
  trust: Trust,
  accept: string | true | undefined,
  output: Output,
  signal: AbortSignal,
): Promise<string | undefined> {
  const url = httpsUrl(address);
  if (url === undefined) return undefined;
  const expected = typeof accept === 'string' ? parseFingerprint(accept) : undefined;
  if (typeof accept === 'string' && expected === undefined)
    throw new CodedError(
      'usage',
      `Not a SHA-256 fingerprint: ${JSON.stringify(accept)}; expected 64 hex digits`,
    );
  const shown = await fetchServerCertificate(url, trust).catch((error: unknown) => {
    throw transportError(error, address, {});
  });
  const { fingerprint, problem } = shown;
  const other = (): CodedError =>
    new CodedError(
      'server_untrusted',
      `The certificate of ${url.origin} has the fingerprint ${fingerprint}, which is not the one that was given; ask the daemon's administrator for the right one`,
    );
  if (expected !== undefined) {
    if (expected !== fingerprint) throw other();
    return fingerprint;
  }
  if (problem === undefined) return undefined;
  if (accept === true) return fingerprint;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new CodedError(
      'server_untrusted',
      `The certificate of ${url.origin} cannot be verified (${problem}) and nobody can be asked here; if its fingerprint is right, add --accept-fingerprint ${fingerprint}`,
    );
  }
  output.err(`The certificate of ${url.origin} cannot be verified (${problem}).`);
  output.err(`Its SHA-256 fingerprint is ${fingerprint}`);
  const typed = await askFingerprint(fingerprint, signal);
  if (typed === fingerprint) return fingerprint;
  if (typed !== undefined) throw other();
  throw new CodedError('server_untrusted', 'The certificate was not accepted, so nothing was added');
}

/** The fingerprint that somebody at the terminal says is right; undefined for a no, and at the end of the input. */
async function askFingerprint(shown: string, signal: AbortSignal): Promise<string | undefined> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  // The terminal is in raw mode while it is read, so Ctrl-C comes as a key.
  lines.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  lines.setPrompt('Is that the right one (y/n/[fingerprint])? ');
  try {
    return await new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      lines.once('close', () => resolve(undefined));
      lines.on('line', (line) => {
        const answer = line.trim();
        const typed = /^y(?:es)?$/i.test(answer) ? shown : parseFingerprint(answer);
        if (typed !== undefined || /^(?:no?)?$/i.test(answer)) resolve(typed);
        else lines.prompt();
      });
      lines.prompt();
    });
  } finally {
    lines.close();
  }
}

async function tryCredentials(address: Address, remote: Remote, signal: AbortSignal): Promise<void> {
  const connection = openConnection({ address, token: readToken({ remote }, {}), trust: remote });
  try {
    await getInfo(connection, signal);
  } catch (error) {
    if (!(error instanceof CodedError) || (error.code !== 'unauthorized' && error.code !== 'forbidden'))
      throw error;
    const message = error.message.replace(/\.$/, '');
    throw new CodedError(error.code, `The daemon does not let you in, so nothing was added: ${message}`);
  } finally {
    connection.close();
  }
}

function httpsUrl(address: Address): URL | undefined {
  const isHttps = address.kind === 'tcp' && address.origin.startsWith('https:');
  return isHttps ? new URL(address.origin) : undefined;
}

/** Whether others on the way could read the token. */
function isInTheClear(address: Address, { token, tokenFile }: Pick<Remote, 'token' | 'tokenFile'>): boolean {
  if (address.kind === 'unix' || httpsUrl(address) !== undefined || (token ?? tokenFile) === undefined)
    return false;
  const { hostname } = new URL(address.origin);
  const host = hostname.replace(/^\[|\]$/g, '');
  return host !== 'localhost' && host !== '::1' && !(isIP(host) === 4 && host.startsWith('127.'));
}
