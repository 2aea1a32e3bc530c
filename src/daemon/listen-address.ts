import { isIP } from 'node:net';
import { CodedError } from '../errors.ts';

/** Where the daemon listens. `port` 0 means any free one; an IPv6 `host` comes without brackets. */
export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'http' | 'https'; readonly host: string; readonly port: number };

const EXPECTED = 'expected unix:PATH, http://HOST:PORT or https://HOST:PORT';
/** sun_path of unix(7) has 108 bytes, the last one for NUL. */
const UNIX_PATH_MAX_BYTES = 107;

/** Reads `unix:/path`, `http://HOST:PORT` or `https://HOST:PORT`; a bad text is `config_invalid`. */
export function parseListenAddress(text: string): ListenAddress {
  const bad = (reason: string): CodedError =>
    new CodedError('config_invalid', `not an address: ${JSON.stringify(text)}; ${reason}`);
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length).replace(/^\/\/(?=\/)/, '');
    if (!path.startsWith('/') || path.endsWith('/')) throw bad('expected an absolute path after unix:');
    if (path.includes('\0')) throw bad('a path cannot hold a NUL byte');
    if (Buffer.byteLength(path) > UNIX_PATH_MAX_BYTES) {
      throw bad(`a socket's path has at most ${UNIX_PATH_MAX_BYTES} bytes`);
    }
    return { kind: 'unix', path };
  }
  const match = /^(https?):\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})\/?$/.exec(text);
  if (match === null) throw bad(EXPECTED);
  const [, kind = '', written = '', digits = ''] = match;
  const host = written.replace(/^\[|\]$/g, '');
  const port = Number(digits);
  if (written.startsWith('[') && isIP(host) !== 6) throw bad('expected an IPv6 address between the brackets');
  if (port > 65535) throw bad('a port is at most 65535');
  return { kind: kind === 'https' ? 'https' : 'http', host, port };
}

/** The reverse of {@link parseListenAddress}. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${address.kind}://${host}:${address.port}`;
}

/** Whether only programs of this machine can reach the address. A name other than `localhost` is not trusted. */
export function isLoopback(address: ListenAddress): boolean {
  if (address.kind === 'unix') return true;
  const host = address.host.toLowerCase();
  if (host === 'localhost' || host === '::1') return true;
  return isIP(host) === 4 && host.startsWith('127.');
}
