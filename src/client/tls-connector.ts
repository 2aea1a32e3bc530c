/** TLS to a daemon: its certificate is verified by the system's authorities, or it is the pinned one and no other. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { CodedError, messageOf } from '../errors.ts';
import type { Trust } from './trust.ts';
import { trustedAuthorities } from './trusted-authorities.ts';

const CONNECT_TIMEOUT_MS = 10_000;

export type ServerCertificate = {
  /** Hex SHA-256. */
  readonly fingerprint: string;
  /** Why the system's authorities do not vouch for it; undefined when they do. */
  readonly problem: string | undefined;
};

/** Resolves to a socket to whoever is trusted; `server_untrusted` otherwise. Nothing of ours is sent before. */
export async function connectTls(url: URL, trust: Trust, env = process.env): Promise<TLSSocket> {
  const { socket, certificate } = await handshake(url, trust, env);
  const problem = problemOf(certificate, trust.fingerprint, url);
  if (problem === undefined) return socket;
  socket.destroy();
  throw new CodedError('server_untrusted', problem);
}

/** The certificate that a server shows. */
export async function fetchServerCertificate(
  url: URL,
  trust: Trust,
  env = process.env,
): Promise<ServerCertificate> {
  const { socket, certificate } = await handshake(url, trust, env);
  socket.destroy();
  return certificate;
}

function problemOf(
  { fingerprint, problem }: ServerCertificate,
  pinned: string | undefined,
  { origin }: URL,
): string | undefined {
  if (pinned === fingerprint) return undefined;
  if (pinned !== undefined) {
    return `The certificate of ${origin} has changed: its fingerprint is ${fingerprint}, not ${pinned}; if its administrator changed it, remove the remote and add it again (incus-upload remote remove, remote add), otherwise somebody may be listening in`;
  }
  if (problem === undefined) return undefined;
  return `The certificate of ${origin} cannot be verified (${problem}); pin it (incus-upload remote add NAME ${origin}) and use --remote NAME, or name its authority in NODE_EXTRA_CA_CERTS`;
}

function handshake(
  url: URL,
  trust: Trust,
  env: NodeJS.ProcessEnv,
): Promise<{ socket: TLSSocket; certificate: ServerCertificate }> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const options: ConnectionOptions = {
    host,
    port: Number(url.port || 443),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: ['http/1.1'],
    minVersion: 'TLSv1.2',
    // Judged below, where it can be said what to do about it.
    rejectUnauthorized: false,
    ...(trust.fingerprint === undefined ? { ca: trustedAuthorities(env) } : {}),
    ...ownCertificate(trust),
  };
  return new Promise((resolve, reject) => {
    const socket = connect(options);
    const timer = setTimeout(() => {
      const error = new Error(`no connection within ${CONNECT_TIMEOUT_MS / 1000} s`);
      socket.destroy(Object.assign(error, { code: 'ETIMEDOUT', syscall: 'connect' }));
    }, CONNECT_TIMEOUT_MS);
    socket.setNoDelay(true);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    // Stays, so that an error before somebody else listens ends no process.
    socket.on('error', fail);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      const { fingerprint256 } = socket.getPeerCertificate();
      if (fingerprint256 === undefined) {
        socket.destroy();
        reject(new CodedError('server_untrusted', `${url.origin} shows no certificate; check the address`));
        return;
      }
      const problem = socket.authorized ? undefined : describeProblem(String(socket.authorizationError));
      resolve({
        socket,
        certificate: { fingerprint: fingerprint256.replaceAll(':', '').toLowerCase(), problem },
      });
    });
  });
}

/** Names that OpenSSL has for what is wrong with a certificate, in words. */
const PROBLEMS: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'its authority is not known here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its authority is not known here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its authority is not known here',
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet; check the clock',
  ERR_TLS_CERT_ALTNAME_INVALID: 'it is for another name',
};

function describeProblem(code: string): string {
  return PROBLEMS[code] ?? code;
}

function ownCertificate({ certFile, keyFile }: Trust): { cert?: Buffer; key?: Buffer } {
  if (certFile === undefined || keyFile === undefined) return {};
  return { cert: readPem(certFile), key: readPem(keyFile) };
}

function readPem(path: string): Buffer {
  try {
    const pem = readFileSync(path);
    if (pem.includes('-----BEGIN ')) return pem;
  } catch (error) {
    throw new CodedError('config_invalid', `Cannot read ${path}: ${messageOf(error)}; add the remote anew`);
  }
  throw new CodedError(
    'config_invalid',
    `${path} holds neither certificate nor key in PEM; add the remote anew`,
  );
}
