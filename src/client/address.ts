import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '../errors.ts';

/** Where a daemon listens. */
export type Address =
  | { readonly kind: 'unix'; readonly socketPath: string }
  | { readonly kind: 'tcp'; readonly origin: string };

/** Where the system's daemon listens. */
export const SYSTEM_SOCKET = '/run/incus-upload/uploadd.sock';

/** Reads `unix:PATH`, `http://HOST:PORT` or `https://HOST:PORT`; a bad text is `usage`. */
export function parseAddress(text: string): Address {
  if (text.startsWith('unix:')) {
    const socketPath = text.slice('unix:'.length).replace(/^\/\/(?=\/)/, '');
    if (socketPath !== '') return { kind: 'unix', socketPath };
  } else if (/^https?:\/\//i.test(text) && URL.canParse(text)) {
    const { origin, pathname, search, username } = new URL(text);
    if (pathname === '/' && search === '' && username === '') return { kind: 'tcp', origin };
  }
  throw new CodedError(
    'usage',
    `Cannot read the daemon's address ${JSON.stringify(text)}: expected unix:PATH, http://HOST:PORT or https://HOST:PORT`,
  );
}

/** The reverse of {@link parseAddress}. */
export function formatAddress(address: Address): string {
  return address.kind === 'unix' ? `unix:${address.socketPath}` : address.origin;
}

/**
 * Where a daemon listens that was started without `--listen`: the system's socket for root, and for others too when
 * it is there and they may use it; else the user's own.
 */
export function defaultAddress(env: NodeJS.ProcessEnv, uid: number): Address {
  const own = env.XDG_RUNTIME_DIR;
  if (uid === 0 || own === undefined || own === '' || mayConnect(SYSTEM_SOCKET)) {
    return { kind: 'unix', socketPath: SYSTEM_SOCKET };
  }
  return { kind: 'unix', socketPath: join(own, 'incus-upload', 'uploadd.sock') };
}

/** Connecting to a unix socket needs the right to write to it (unix(7)). */
function mayConnect(socketPath: string): boolean {
  try {
    if (!statSync(socketPath).isSocket()) return false;
    accessSync(socketPath, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
