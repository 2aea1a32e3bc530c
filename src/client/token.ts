import { readFileSync } from 'node:fs';
import { CodedError, messageOf } from '../errors.ts';

/** Where a token may come from, besides the environment. */
export type TokenOrigins = {
  /** `--token-file`. */
  readonly file?: string | undefined;
  /** What the remote in use holds. */
  readonly remote?: { readonly token?: string | undefined; readonly tokenFile?: string | undefined };
};

/**
 * The token to show to the daemon, or undefined. `--token-file` comes before that of the remote, which no other daemon is
 * meant to see, that before INCUS_UPLOAD_TOKEN and INCUS_UPLOAD_TOKEN_FILE. A file that cannot be read or holds no token
 * is `config_invalid`.
 */
export function readToken({ file, remote }: TokenOrigins, env: NodeJS.ProcessEnv): string | undefined {
  if (file !== undefined) return readTokenFile(file);
  if (remote?.token !== undefined) return checkToken(remote.token.trim(), 'The remote');
  if (remote?.tokenFile !== undefined) return readTokenFile(remote.tokenFile);
  if (env.INCUS_UPLOAD_TOKEN) return checkToken(env.INCUS_UPLOAD_TOKEN.trim(), 'INCUS_UPLOAD_TOKEN');
  if (env.INCUS_UPLOAD_TOKEN_FILE) return readTokenFile(env.INCUS_UPLOAD_TOKEN_FILE);
  return undefined;
}

function readTokenFile(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new CodedError('config_invalid', `Cannot read the token file ${path}: ${messageOf(error)}`);
  }
  return checkToken(text.trim(), `The token file ${path}`);
}

/** RFC 6750 section 2.1: a bearer token is printable ASCII without blanks. */
function checkToken(token: string, origin: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new CodedError('config_invalid', `${origin} holds no token: expected one line of printable ASCII`);
}
