/** The routes, and what every request goes through. One app serves all listeners. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { CodedError, messageOf } from '../errors.ts';
import type { AppContext } from './app-context.ts';
import { Connections, defaultConnectionLimits } from './connections.ts';
import { createEventsRoute } from './events.ts';
import { getHealth, getInfo, getReady } from './info.ts';
import { cancelJob, getJob, getJobs, retryJob } from './jobs.ts';
import { createMetrics, getMetrics } from './metrics.ts';
import { sendError } from './respond.ts';
import { clientErrorOf, refuseUnparsed } from './unparsed-request.ts';
import { UploadSession } from './upload.ts';
import { UploadRegistry } from './upload-registry.ts';

export type App = {
  /** For Node's `request` event. */
  readonly onRequest: (req: IncomingMessage, res: ServerResponse) => void;
  /** For Node's `checkContinue` event: the sender waits for leave to send its body. */
  readonly onCheckContinue: (req: IncomingMessage, res: ServerResponse) => void;
  /** For Node's `checkExpectation` event: the sender expects something else that we do not know. */
  readonly onCheckExpectation: (req: IncomingMessage, res: ServerResponse) => void;
  /** For Node's `clientError` event. */
  readonly onClientError: (error: Error, socket: Duplex) => void;
  readonly uploads: UploadRegistry;
  readonly connections: Connections;
};

const MAX_HEADERS = 100;
const JOB = /^\/v1\/jobs\/([^/]+)(?:\/(cancel|retry))?$/;

export function createApp(context: AppContext): App {
  const uploads = new UploadRegistry({
    nowMs: context.nowMs,
    bodyTimeoutMs: () => context.limits.bodyTimeoutMs,
  });
  const metrics = createMetrics(context);
  const getEvents = createEventsRoute(context);

  const connections = new Connections(defaultConnectionLimits(), (peer) => {
    const error = new CodedError('too_many_uploads', 'Too many connections at once');
    context.onRefused({ peer, method: '', url: '', error });
  });
  /** Connections that were refused as a whole. */
  const refused = new WeakSet<Duplex>();

  function upload(req: IncomingMessage, res: ServerResponse, askedToContinue: boolean): void {
    if (req.method !== 'POST' && req.method !== 'PUT') throw notAllowed('POST, PUT');
    new UploadSession(context, uploads, req, res).start(null, askedToContinue);
  }

  function route(req: IncomingMessage, res: ServerResponse, askedToContinue: boolean): void | Promise<void> {
    const target = originForm(req.url ?? '/');
    req.url = target;
    if (target === '/upload' || target.startsWith('/upload?')) return upload(req, res, askedToContinue);
    if (askedToContinue) res.writeContinue();
    const url = parseTarget(target);
    const job = JOB.exec(url.pathname);
    if (job !== null) {
      const [, id = '', action] = job;
      if (action === undefined) {
        allow(req, 'GET');
        return getJob(context, id, url, res);
      }
      allow(req, 'POST');
      return action === 'cancel' ? cancelJob(context, id, res) : retryJob(context, id, res);
    }
    switch (url.pathname) {
      case '/v1/jobs':
        allow(req, 'GET');
        return getJobs(context, url, res);
      case '/v1/events':
        allow(req, 'GET');
        return getEvents(url, req, res);
      case '/v1/info':
        allow(req, 'GET');
        return getInfo(context, res);
      case '/healthz':
        allow(req, 'GET');
        return getHealth(res);
      case '/readyz':
        allow(req, 'GET');
        return getReady(context, res);
      case '/metrics':
        allow(req, 'GET');
        return getMetrics(metrics, res);
      default:
        throw new CodedError('not_found', `There is no ${url.pathname}`);
    }
  }

  function handle(req: IncomingMessage, res: ServerResponse, askedToContinue: boolean): void {
    connections.began(req.socket, res);
    // Whoever goes on with this connection would find nobody soon.
    if (context.closing) res.shouldKeepAlive = false;
    try {
      checkHead(req);
      const result = route(req, res, askedToContinue);
      if (result instanceof Promise) result.catch((error) => fail(req, res, error));
    } catch (error) {
      fail(req, res, error);
    }
  }

  function fail(req: IncomingMessage, res: ServerResponse, cause: unknown): void {
    const error =
      cause instanceof CodedError ? cause : new CodedError('internal', messageOf(cause), { cause });
    const { method = '', url = '' } = req;
    context.onRefused({ peer: req.socket.remoteAddress ?? 'unix', method, url, error });
    if (!res.destroyed)
      sendError(req, res, error, error instanceof MethodError ? { Allow: error.allow } : {});
  }

  function onClientError(cause: Error, socket: Duplex): void {
    if (refused.has(socket)) return;
    refused.add(socket);
    const error = clientErrorOf(cause);
    if (error === undefined || !(socket instanceof Socket) || !socket.writable) {
      socket.destroy();
      return;
    }
    context.onRefused({ peer: socket.remoteAddress ?? 'unix', method: '', url: '', error });
    refuseUnparsed(socket, error, connections.latest(socket));
  }

  return {
    onRequest: (req, res) => handle(req, res, false),
    onCheckContinue: (req, res) => handle(req, res, true),
    onCheckExpectation: (req, res) =>
      fail(req, res, new CodedError('bad_request', 'Expect: nothing but 100-continue is known')),
    onClientError,
    uploads,
    connections,
  };
}

/** RFC 9110 section 15.5.6: a 405 names what is allowed. */
class MethodError extends CodedError {
  readonly allow: string;
  constructor(allow: string) {
    super('method_not_allowed', `The method is not allowed here; use ${allow}`);
    this.allow = allow;
  }
}

function notAllowed(methods: string): MethodError {
  return new MethodError(methods);
}

function allow(req: IncomingMessage, method: 'GET' | 'POST'): void {
  if (req.method === method || (method === 'GET' && req.method === 'HEAD')) return;
  throw notAllowed(method === 'GET' ? 'GET, HEAD' : method);
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
