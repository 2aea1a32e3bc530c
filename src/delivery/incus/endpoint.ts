/** Where an Incus answers, and how it is trusted there. */

import { X509Certificate } from 'node:crypto';
import type { PeerCertificate, TLSSocketOptions } from 'node:tls';
import { checkServerIdentity } from 'node:tls';

export type IncusEndpoint =
  | { readonly kind: 'unix'; readonly socketPath: string }
  | {
      readonly kind: 'https';
      readonly host: string;
      readonly port: number;
      /** PEM texts. */
      readonly clientCert: string;
      readonly clientKey: string;
      /** The server's own certificate, or the authority that signed it; undefined: the system's authorities. */
      readonly serverCert: string | undefined;
    };

export type HttpsEndpoint = Extract<IncusEndpoint, { kind: 'https' }>;

/** For people: `unix:/run/incus/unix.socket`, `https://host:8443`. */
export function describeEndpoint(endpoint: IncusEndpoint): string {
  if (endpoint.kind === 'unix') return `unix:${endpoint.socketPath}`;
  return `https://${endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host}:${endpoint.port}`;
}

/**
 * TLS options that accept the pinned certificate whatever host names it holds (Incus's own is self-signed for the
 * host's name at its first start), and otherwise only a certificate of the given authority for that host.
 */
export function pinnedTlsOptions(endpoint: HttpsEndpoint) {
  const { host, clientCert, clientKey, serverCert } = endpoint;
  const pinned = serverCert === undefined ? undefined : new X509Certificate(serverCert).raw;
  return {
    cert: clientCert,
    key: clientKey,
    minVersion: 'TLSv1.3',
    ...(serverCert === undefined ? {} : { ca: [serverCert] }),
    checkServerIdentity: (_host: string, certificate: PeerCertificate): Error | undefined =>
      pinned?.equals(certificate.raw) === true ? undefined : checkServerIdentity(host, certificate),
  } satisfies TLSSocketOptions & Record<string, unknown>;
}
