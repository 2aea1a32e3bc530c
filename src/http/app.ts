/** The routes, and what every request goes through. One app serves all listeners. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { CodedError, messageOf } from '../errors.ts';
import type { AppContext } from './app-context.ts';
import { type Access, authenticate } from './authenticate.ts';
import { getBatch } from './batches.ts';
import type { Caller } from './caller.ts';
import { Connections, defaultConnectionLimits } from './connections.ts';
import { createEventsRoute } from './events.ts';
import { getHealth, getInfo, getReady } from './info.ts';
import { getInstances } from './instances.ts';
import { cancelJob, getJob, getJobs, retryJob } from './jobs.ts';
import { MethodError } from './method-error.ts';
import { createMetrics, getMetrics } from './metrics.ts';
import { peerOf } from './peer.ts';
import { sendError } from './respond.ts';
import { clientErrorOf, endCutOff, refuseUnparsed } from './unparsed-request.ts';
import { UploadSession } from './upload.ts';
import { UploadRegistry } from './upload-registry.ts';

export type App = {
  /** For Node's `request` event. */
  readonly onRequest: (req: IncomingMessage, res: ServerResponse, access: Access) => void;
  /** For Node's `checkContinue` event: the sender waits for leave to send its body. */
  readonly onCheckContinue: (req: IncomingMessage, res: ServerResponse, access: Access) => void;
  /** For Node's `checkExpectation` event: the sender expects something else that we do not know. */
  readonly onCheckExpectation: (req: IncomingMessage, res: ServerResponse) => void;
  /** For Node's `clientError` event. */
  readonly onClientError: (error: Error, socket: Duplex) => void;
  readonly uploads: UploadRegistry;
  readonly connections: Connections;
};

/** What answers everybody: it tells no more than that somebody is there. */
const PROBES = new Map([
  ['/healthz', getHealth],
  ['/readyz', getReady],
]);

const MAX_HEADERS = 100;
const JOB = /^\/v1\/jobs\/([^/]+)(?:\/(cancel|retry))?$/;
const BATCH = /^\/v1\/batches\/([^/]+)$/;

export function createApp(context: AppContext): App {
  const uploads = new UploadRegistry({ bodyTimeoutMs: () => context.limits.bodyTimeoutMs });
  const metrics = createMetrics(context);
  const getEvents = createEventsRoute(context);

  const connections = new Connections(defaultConnectionLimits(), (peer) => {
    const error = new CodedError('too_many_uploads', 'Too many connections at once');
    context.onRefused({ peer, method: '', url: '', error });
  });
  /** Connections that were refused as a whole. */
  const refused = new WeakSet<Duplex>();

  function upload(caller: Caller, req: IncomingMessage, res: ServerResponse, askedToContinue: boolean): void {
    if (req.method !== 'POST' && req.method !== 'PUT') throw new MethodError('POST, PUT');
    new UploadSession(context, caller, uploads, req, res).start(askedToContinue);
  }

  function route(
    req: IncomingMessage,
    res: ServerResponse,
    access: Access,
    askedToContinue: boolean,
  ): void | Promise<void> {
    const target = originForm(req.url ?? '/');
    req.url = target;
    const probe = PROBES.get(target.replace(/\?.*/s, ''));
    if (probe !== undefined) {
      allow(req, 'GET');
      return probe(context, res, access);
    }
    const caller = authenticate(req, access, context.tokens);
    if (target === '/upload' || target.startsWith('/upload?'))
      return upload(caller, req, res, askedToContinue);
    if (askedToContinue) res.writeContinue();
    const url = parseTarget(target);
    const job = JOB.exec(url.pathname);
    if (job !== null) {
      const [, id = '', action] = job;
      if (action === undefined) {
        allow(req, 'GET');
        return getJob(context, caller, id, url, res);
      }
      allow(req, 'POST');
      return action === 'cancel' ? cancelJob(context, caller, id, res) : retryJob(context, caller, id, res);
    }
    const batch = BATCH.exec(url.pathname)?.[1];
    if (batch !== undefined) {
      allow(req, 'GET');
      return getBatch(context, caller, batch, res);
    }
    switch (url.pathname) {
      case '/v1/jobs':
        allow(req, 'GET');
        return getJobs(context, caller, url, res);
      case '/v1/events':
        allow(req, 'GET');
        return getEvents(caller, url, req, res);
      case '/v1/instances':
        allow(req, 'GET');
        return getInstances(context, caller, url, res);
      case '/v1/info':
        allow(req, 'GET');
        return getInfo(context, caller, res);
      case '/metrics':
        allow(req, 'GET');
        return getMetrics(metrics, caller, res);
      default:
        throw new CodedError('not_found', `There is no ${url.pathname}`);
    }
  }

  function handle(req: IncomingMessage, res: ServerResponse, access: Access, askedToContinue: boolean): void {
    // RFC 9112 section 9.6: what comes behind an answer that says close is not processed; nobody would see its answer.
    if (connections.latest(req.socket)?.shouldKeepAlive === false) return;
    connections.began(req.socket, res);
    // Whoever goes on with this connection would find nobody soon.
    if (context.closing) res.shouldKeepAlive = false;
    try {
      checkHead(req);
      const result = route(req, res, access, askedToContinue);
      if (result instanceof Promise) result.catch((error) => fail(req, res, error));
    } catch (error) {
      fail(req, res, error);
    }
  }

  function fail(req: IncomingMessage, res: ServerResponse, cause: unknown): void {
    const error =
      cause instanceof CodedError ? cause : new CodedError('internal', messageOf(cause), { cause });
    const { method = '', url = '' } = req;
    context.onRefused({ peer: peerOf(req), method, url, error });
    if (!res.destroyed) sendError(req, res, error);
  }

  function onClientError(cause: Error, socket: Duplex): void {
    if (refused.has(socket)) return;
    refused.add(socket);
    const error = clientErrorOf(cause);
    const latest = connections.latest(socket);
    if (!(socket instanceof Socket) || !socket.writable) socket.destroy();
    else if (error === undefined) endCutOff(socket, cause, latest);
    else {
      context.onRefused({ peer: socket.remoteAddress ?? 'unix', method: '', url: '', error });
      refuseUnparsed(socket, error, latest);
    }
  }

  return {
    onRequest: (req, res, access) => handle(req, res, access, false),
    onCheckContinue: (req, res, access) => handle(req, res, access, true),
    onCheckExpectation: (req, res) =>
      fail(req, res, new CodedError('bad_request', 'Expect: nothing but 100-continue is known')),
    onClientError,
    uploads,
    connections,
  };
}

function allow(req: IncomingMessage, method: 'GET' | 'POST'): void {
  if (req.method === method || (method === 'GET' && req.method === 'HEAD')) return;
  throw new MethodError(method === 'GET' ? 'GET, HEAD' : method);
}

/** What makes a request as a whole not acceptable, whatever it asks for. */
function checkHead({ headers, httpVersion, rawHeaders }: IncomingMessage): void {
  if (rawHeaders.length > 2 * MAX_HEADERS)
    throw new CodedError('header_too_large', `There are more than ${MAX_HEADERS} headers`);
  // RFC 9112 section 3.2: only HTTP/1.0 knows requests without it.
  if (headers.host === undefined && httpVersion !== '1.0')
    throw new CodedError('bad_request', 'The Host header is missing');
}

/** RFC 9112 section 3.2.2: a server takes `http://host/path` for `/path`. */
function originForm(target: string): string {
  if (target.startsWith('/')) return target;
  const path = target.replace(/^https?:\/\/[^/?#]*/i, '');
  return path.startsWith('/') ? path : `/${path}`;
}

function parseTarget(target: string): URL {
  try {
    return new URL(target, 'http://incus-upload');
  } catch {
    throw new CodedError('bad_request', 'The request target is not valid');
  }
}
