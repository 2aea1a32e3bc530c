import { readFileSync } from 'node:fs';
import { CodedError, messageOf } from '../errors.ts';

/**
 * The token to show to the daemon, or undefined. `--token-file` comes before INCUS_UPLOAD_TOKEN, that before
 * INCUS_UPLOAD_TOKEN_FILE. A file that cannot be read or holds no token is `config_invalid`.
 */
export function readToken(tokenFile: string | undefined, env: NodeJS.ProcessEnv): string | undefined {
  if (tokenFile !== undefined) return readTokenFile(tokenFile);
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
