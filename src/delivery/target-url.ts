import { isAbsolute } from 'node:path';
import { CodedError } from '../errors.ts';

export type TargetUrl =
  /** The local Incus, found as its own client finds it. */
  | { readonly kind: 'incus' }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'https'; readonly host: string; readonly port: number }
  | { readonly kind: 'directory'; readonly path: string };

const EXPECTED = 'incus, unix:PATH, https://HOST:8443 or dir:PATH';
const INCUS_PORT = 8443;

/** Reads `incus`, `unix:PATH`, `https://HOST[:PORT]` or `dir:PATH`; a bad text is `config_invalid`. Paths are absolute. */
export function parseTargetUrl(text: string): TargetUrl {
  const bad = (why: string) =>
    new CodedError('config_invalid', `Not a target: ${JSON.stringify(text)}${why}; expected ${EXPECTED}`);
  if (text === 'incus') return { kind: 'incus' };
  const colon = text.indexOf(':');
  const rest = text.slice(colon + 1);
  switch (text.slice(0, Math.max(colon, 0))) {
    case 'unix':
    case 'dir': {
      const path = rest.replace(/^\/\/(?=\/)/, '');
      if (!isAbsolute(path) || path.includes('\0')) throw bad(', its path is not absolute');
      return { kind: text.startsWith('unix') ? 'unix' : 'directory', path };
    }
    case 'https': {
      if (!URL.canParse(text)) throw bad('');
      const url = new URL(text);
      if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '') {
        throw bad(', there is more than host and port');
      }
      const port = /:443\/?$/.test(text) ? 443 : Number(url.port || INCUS_PORT);
      return { kind: 'https', host: url.hostname.replace(/^\[|\]$/g, ''), port };
    }
    default:
      throw bad('');
  }
}
