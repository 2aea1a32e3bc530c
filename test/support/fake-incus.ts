/**
 * A small Incus for injecting faults: a real HTTP server on a unix socket that knows `/1.0`, `/1.0/instances`, the
 * upgrade to SFTP and the events WebSocket. Projects are the subdirectories of `root`, instances those of a project, and
 * an instance's files are really there, so anybody may look at them.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type FakeFaults, type FakeOperation, type FakeSession, serveFakeSftp } from './fake-incus-sftp.ts';

export type { FakeFaults, FakeOperation } from './fake-incus-sftp.ts';

/** Operations remembered; a torture run makes millions. */
const MAX_OPERATIONS = 50_000;

export type FakeIncus = {
  readonly socketPath: string;
  readonly root: string;
  /** Set its members to switch faults on and off. */
  readonly faults: FakeFaults;
  /** What was asked of it over SFTP, oldest first. */
  readonly operations: FakeOperation[];
  /** SFTP sessions open now. */
  readonly openSessions: number;
  /** SFTP sessions opened so far. */
  readonly sessionCount: number;
  /** Clients that listen for events now. */
  readonly eventClients: number;
  /** Makes an instance with the usual directories and returns its root. */
  addInstance(project: string, instance: string): string;
  /** The host's path of a path in an instance. */
  pathOf(project: string, instance: string, path: string): string;
  /** Sends a lifecycle event such as `instance-started`. */
  emit(action: string, project: string, instance: string): void;
  /** Cuts every SFTP session. */
  cutSessions(): void;
  /** Stops listening and cuts everything; the socket file stays (ECONNREFUSED) or goes (ENOENT). */
  goAway(socketFile: 'stays' | 'goes'): Promise<void>;
  comeBack(): Promise<void>;
  close(): Promise<void>;
};

export async function startFakeIncus(options: { socketPath: string; root: string }): Promise<FakeIncus> {
  const { socketPath, root } = options;
  const faults: FakeFaults = {};
  const operations: FakeOperation[] = [];
  const sessions = new Set<FakeSession>();
  const listeners = new Set<Duplex>();
  const connections = new Set<Duplex>();
  let sessionCount = 0;
  let server: Server | undefined;

  const note = (operation: FakeOperation) => {
    operations.push(operation);
    if (operations.length > MAX_OPERATIONS) operations.splice(0, MAX_OPERATIONS / 2);
  };

  const serveSftp = (socket: Duplex, head: Buffer, project: string, instance: string) => {
    const refusal = faults.httpError ?? missing(root, project, instance);
    if (refusal !== undefined) return refuse(socket, refusal);
    if (faults.hangBeforeUpgrade) return;
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: sftp\r\nConnection: Upgrade\r\n\r\n');
    sessionCount += 1;
    const session = serveFakeSftp({
      socket,
      head,
      number: sessionCount,
      instance,
      root: join(root, project, instance),
      faults,
      onOperation: note,
      onEnd: () => sessions.delete(session),
    });
    sessions.add(session);
  };

  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => {});
    if (faults.hangApi) return;
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://incus');
    const instance = /^\/1\.0\/instances\/([^/]+)\/sftp$/.exec(pathname)?.[1];
    if (faults.apiError !== undefined) return refuse(socket, faults.apiError);
    if (instance !== undefined) {
      return serveSftp(socket, head, searchParams.get('project') ?? 'default', decodeURIComponent(instance));
    }
    if (pathname !== '/1.0/events') return refuse(socket, { status: 404, message: 'not found' });
    const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = createHash('sha1').update(key).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    listeners.add(socket);
    socket.on('close', () => listeners.delete(socket));
    socket.on('data', (bytes: Buffer) => {
      if ((bytes[0] ?? 0) === 0x88) socket.end(Buffer.from([0x88, 0]));
    });
    return undefined;
  };

  const comeBack = async () => {
    if (server !== undefined) return;
    fs.rmSync(socketPath, { force: true });
    const next = createServer((request, response) => {
      if (faults.hangApi) return;
      const { status, body } = answerTo(request, root, faults);
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    });
    next.on('upgrade', onUpgrade);
    next.on('connection', (socket) => {
      connections.add(socket);
      socket.on('close', () => connections.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      next.once('error', reject).listen(socketPath, resolve);
    });
    server = next;
  };

  const goAway = async (socketFile: 'stays' | 'goes') => {
    const going = server;
    server = undefined;
    if (going === undefined) return;
    // Node removes the socket when it closes; another name for it keeps it.
    const spare = `${socketPath}.away`;
    if (socketFile === 'stays') fs.linkSync(socketPath, spare);
    const closed = new Promise<void>((resolve) => going.close(() => resolve()));
    for (const socket of connections) socket.destroy();
    await closed;
    if (socketFile === 'stays') fs.renameSync(spare, socketPath);
  };

  await comeBack();
  return {
    socketPath,
    root,
    faults,
    operations,
    get openSessions() {
      return sessions.size;
    },
    get sessionCount() {
      return sessionCount;
    },
    get eventClients() {
      return listeners.size;
    },
    addInstance: (project, instance) => {
      const path = join(root, project, instance);
      for (const name of ['etc', 'opt', 'root', 'tmp']) fs.mkdirSync(join(path, name), { recursive: true });
      return path;
    },
    pathOf: (project, instance, path) => join(root, project, instance, path),
    emit: (action, project, instance) => {
      const source = `/1.0/instances/${instance}`;
      const message = { type: 'lifecycle', project, metadata: { action, source, name: instance, project } };
      for (const socket of listeners) socket.write(textFrame(JSON.stringify(message)));
    },
    cutSessions: () => {
      for (const session of sessions) session.destroy();
    },
    goAway,
    comeBack,
    close: async () => {
      await goAway('goes');
      fs.rmSync(socketPath, { force: true });
    },
  };
}

type ApiError = { readonly status: number; readonly message: string };

function answerTo(request: IncomingMessage, root: string, faults: FakeFaults) {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://incus');
  if (faults.apiError !== undefined)
    return { status: faults.apiError.status, body: errorBody(faults.apiError) };
  const ok = (metadata: unknown) => ({ status: 200, body: { type: 'sync', status_code: 200, metadata } });
  if (pathname === '/1.0') return ok({ api_version: '1.0', environment: { server: 'incus' } });
  if (pathname !== '/1.0/instances') {
    return { status: 404, body: errorBody({ status: 404, message: 'not found' }) };
  }
  const projects = searchParams.has('all-projects')
    ? directories(root)
    : [searchParams.get('project') ?? 'default'];
  const urls = projects.flatMap((project) =>
    directories(join(root, project)).map(
      (name) => `/1.0/instances/${name}${project === 'default' ? '' : `?project=${project}`}`,
    ),
  );
  return ok(urls);
}

function directories(path: string): string[] {
  if (!fs.existsSync(path)) return [];
  const entries = fs.readdirSync(path, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

function missing(root: string, project: string, instance: string): ApiError | undefined {
  if (!fs.existsSync(join(root, project))) return { status: 404, message: 'Project not found' };
  if (fs.existsSync(join(root, project, instance))) return undefined;
  const message = `Failed to fetch instance "${instance}" in project "${project}": Instance not found`;
  return { status: 404, message };
}

function errorBody({ status, message }: ApiError) {
  return { type: 'error', status: '', status_code: 0, error_code: status, error: message, metadata: null };
}

function refuse(socket: Duplex, error: ApiError): void {
  const body = JSON.stringify(errorBody(error));
  socket.end(
    `HTTP/1.1 ${error.status} Error\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** An unmasked text frame, RFC 6455 section 5.2. */
function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const head = payload.length < 126 ? Buffer.from([0x81, payload.length]) : Buffer.from([0x81, 126, 0, 0]);
  if (payload.length >= 126) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}
