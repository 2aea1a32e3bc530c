import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { DeadlineError } from '../../../src/delivery/deadline.ts';
import { getFromIncus, openSftpSession } from '../../../src/delivery/incus/connection.ts';
import { ConnectionError, IncusApiError } from '../../../src/delivery/incus/seen-errors.ts';
import { until } from '../delivery-builder.ts';

let directory = '';
let server: Server;
let answer = '';
const sockets = new Set<Socket>();
const endpoint = () => ({ kind: 'unix', socketPath: join(directory, 'socket') }) as const;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'connection-'));
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.once('data', () => socket.write(answer));
  });
  await new Promise<void>((resolve) => server.listen(endpoint().socketPath, resolve));
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
  rmSync(directory, { recursive: true, force: true });
});

function http(status: string, body: string): string {
  return `HTTP/1.1 ${status}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

const get = (timeoutMs = 1000) => getFromIncus(endpoint(), '/1.0', timeoutMs);
const session = (timeoutMs = 1000) => openSftpSession(endpoint(), 'default', 'c1', timeoutMs);

function isApiError(status: number, text: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof IncusApiError, String(error));
    assert.equal(error.status, status);
    assert.match(error.message, text);
    return true;
  };
}

describe('getFromIncus()', () => {
  it('gives the metadata, or the error that Incus tells', async () => {
    answer = http('200 OK', '{"type":"sync","metadata":{"a":1}}');
    assert.deepEqual(await get(), { a: 1 });
    answer = http('404 Not Found', '{"type":"error","error_code":404,"error":"Project not found"}');
    await assert.rejects(get(), isApiError(404, /^Project not found$/));
    answer = http('500 Oops', '{"error":""}');
    await assert.rejects(get(), isApiError(500, /500/));
    answer = http('502 Bad Gateway', '<html>');
    await assert.rejects(get(), isApiError(502, /not JSON/));
    answer = http('400 Bad', JSON.stringify({ error: `bad\n\u001b[31m${'x'.repeat(10_000)}` }));
    await assert.rejects(get(), (error) => error instanceof IncusApiError && error.message.length <= 500);
  });

  it('has one deadline for all of it, the body too', async () => {
    for (const part of ['', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{']) {
      answer = part;
      await assert.rejects(get(50), DeadlineError);
      await until('the connection is closed', () => sockets.size === 0);
    }
  });

  it('takes what is no HTTP, or is cut, for a broken connection', async () => {
    answer = 'SSH-2.0-OpenSSH\r\n\r\n';
    await assert.rejects(get(), (error) => error instanceof ConnectionError && error.phase === 'upgrade');
    answer = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n';
    await assert.rejects(get());
    await until('the connection is closed', () => sockets.size === 0);
  });

  it('says that nobody is there', async () => {
    const nowhere = { kind: 'unix', socketPath: join(directory, 'none') } as const;
    await assert.rejects(
      getFromIncus(nowhere, '/1.0', 1000),
      (error) => error instanceof ConnectionError && error.phase === 'connect',
    );
  });
});

describe('openSftpSession()', () => {
  it('takes an answer that is no upgrade for an error, whatever its status', async () => {
    answer = http('200 OK', '{"type":"sync","metadata":{}}');
    await assert.rejects(session(), isApiError(200, /request for SFTP/));
    answer = http('503 No', '{"type":"error","error_code":503,"error":"Shutting down"}');
    await assert.rejects(session(), isApiError(503, /Shutting down/));
  });

  it('leaves no connection behind when it fails', async () => {
    const upgraded = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: sftp\r\nConnection: Upgrade\r\n\r\n';
    for (const text of ['', upgraded, `${upgraded}nonsense`]) {
      answer = text;
      await assert.rejects(session(50));
      await until('the connection is closed', () => sockets.size === 0);
    }
  });
});
