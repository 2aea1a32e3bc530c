import { createServer, type Server, type ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { App } from './app.ts';
import type { Access } from './authenticate.ts';

const OPTIONS: ServerOptions = {
  maxHeaderSize: 16 * 1024,
  /** Slow headers are cut; bodies have a clock of their own, which counts from the last byte. */
  headersTimeout: 15_000,
  requestTimeout: 0,
  keepAliveTimeout: 75_000,
  connectionsCheckingInterval: 1000,
  /** Node's strict parser; both length and chunks in one request are refused (RFC 9112 section 6.3). */
  insecureHTTPParser: false,
  /** The app refuses what lacks it, with a line and in the log. */
  requireHostHeader: false,
  noDelay: true,
};

/** What `https.createServer` takes besides. */
export type TlsOptions = {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly minVersion: 'TLSv1.2';
  readonly ticketKeys: Buffer;
  readonly ca?: Buffer;
  readonly requestCert?: boolean;
  readonly rejectUnauthorized?: boolean;
};

/** `access` is asked with each request: of a socket that was handed over it is known only once it listens. */
export function createHttpServer(app: App, tls: TlsOptions | null, access: () => Access): Server {
  const server: Server & { httpAllowHalfOpen?: boolean } =
    tls === null
      ? createServer(OPTIONS)
      : createTlsServer({ ...OPTIONS, ...tls, handshakeTimeout: OPTIONS.headersTimeout });
  // Node would leave out what is too many without a word; the app refuses it.
  server.maxHeadersCount = 0;
  // A sender that ends its side after the body (`nc -N`) is answered all the same; see `Connections.watch`.
  server.httpAllowHalfOpen = true;
  app.connections.watch(server, tls !== null);
  server.on('request', (req, res) => app.onRequest(req, res, access()));
  server.on('checkContinue', (req, res) => app.onCheckContinue(req, res, access()));
  server.on('checkExpectation', app.onCheckExpectation);
  server.on('clientError', app.onClientError);
  return server;
}
