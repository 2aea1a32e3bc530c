import { readFileSync } from 'node:fs';

/** Where systems keep the certificates of all authorities in one file: Debian and its kin, Fedora, SUSE, Alpine. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/**
 * The authorities that the system trusts, with those of NODE_EXTRA_CA_CERTS; undefined where it tells none, then Node's
 * own count. Node as it is built by its makers does not ask the system.
 */
export function trustedAuthorities(env: NodeJS.ProcessEnv): string[] | undefined {
  const chosen = env.SSL_CERT_FILE;
  const bundle = (chosen ? [chosen] : BUNDLES).map(read).find((text) => text !== undefined);
  if (bundle === undefined) return undefined;
  const extra = env.NODE_EXTRA_CA_CERTS ? read(env.NODE_EXTRA_CA_CERTS) : undefined;
  return extra === undefined ? [bundle] : [bundle, extra];
}

function read(path: string): string | undefined {
  try {
    const text = readFileSync(path, 'utf8');
    return text.includes('-----BEGIN CERTIFICATE-----') ? text : undefined;
  } catch {
    return undefined;
  }
}
