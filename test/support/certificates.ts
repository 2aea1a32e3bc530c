/** Certificates of a private authority, made by openssl(1). */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

export type Pair = { readonly cert: string; readonly key: string };

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'ignore'] });
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** A certificate that signed itself: that of a server, or of an authority. */
export function makeSelfSigned(directory: string, name: string): Pair {
  mkdirSync(directory, { recursive: true });
  const pair = { cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
  const about = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
  openssl('req', '-x509', ...NEW_KEY, '-keyout', pair.key, '-out', pair.cert, '-days', '2', ...about);
  return pair;
}

/** A client's certificate, signed by an authority. With `days` below 0 it has expired. */
export function makeSigned(directory: string, name: string, authority: Pair, days = 2): Pair {
  mkdirSync(directory, { recursive: true });
  const pair = { cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
  const request = join(directory, `${name}.csr`);
  openssl('req', '-new', ...NEW_KEY, '-keyout', pair.key, '-out', request, '-subj', `/CN=${name}`);
  const by = ['-CA', authority.cert, '-CAkey', authority.key, '-CAcreateserial'];
  openssl('x509', '-req', '-in', request, '-out', pair.cert, ...by, '-days', String(days));
  return pair;
}
