import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { upload } from '../http/request.ts';
import { createPlace, type Daemon, eventually, startDaemon } from './daemon.ts';

const COUNT = 2000;
const LIMIT_MS = 1000;
const HEAD = 'POST /upload HTTP/1.1\r\nHost: x\r\nX-Container-Name: web\r\nX-File-Path: /slow\r\n';

/** What a connection that costs only itself has sent before it went silent. */
const OPENINGS = [
  '',
  'POST /upl',
  `${HEAD}X-Host-Path: /a`,
  `${HEAD}Content-Length: 1000\r\n\r\nx`,
  `${HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabc`,
  'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n',
];

function open(address: string | number, bytes: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = typeof address === 'number' ? connect(address, '127.0.0.1') : connect(address);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      // Those that are refused are told so, or cut.
      socket.on('error', () => undefined);
      socket.resume();
      socket.write(bytes);
      resolve(socket);
    });
  });
}

/** Milliseconds until the slowest of 20 uploads, one after the other, was answered. */
async function slowestOf({ place, port }: Daemon, name: string): Promise<number> {
  let slowestMs = 0;
  for (let i = 0; i < 20; i += 1) {
    const startedMs = performance.now();
    const answer = await upload(i % 2 === 0 ? place.socketPath : port, 'web', `/${name}${i}`, 'content');
    slowestMs = Math.max(slowestMs, performance.now() - startedMs);
    assert.equal(answer.status, 202, answer.text);
  }
  return slowestMs;
}

test(`with ${COUNT} slow and idle connections open, other uploads are answered in under a second`, async (t) => {
  const place = createPlace();
  const daemon = await startDaemon(place);
  const sockets: Socket[] = [];
  try {
    const aloneMs = await slowestOf(daemon, 'alone');
    for (let i = 0; i < COUNT; i += 100) {
      const opened = Array.from({ length: 100 }, (_, j) =>
        open(j % 2 === 0 ? place.socketPath : daemon.port, OPENINGS[(i + j) % OPENINGS.length] ?? ''),
      );
      sockets.push(...(await Promise.all(opened)));
    }
    // One of the silent ones gives way whenever somebody needs a place.
    const openedMs = performance.now();
    await eventually(
      'a place is free',
      async () => (await upload(place.socketPath, 'web', '/first', 'x')).status === 202,
      20_000,
    );
    t.diagnostic(`first upload taken ${(performance.now() - openedMs).toFixed(1)} ms after the last of them`);
    // Whatever else the machine does now and then: some round shows what the daemon does.
    let withMs = await slowestOf(daemon, 'f');
    await eventually(
      'each of 20 uploads is answered in under a second',
      async () => {
        if (withMs < LIMIT_MS) return true;
        withMs = Math.min(withMs, await slowestOf(daemon, 'f'));
        return withMs < LIMIT_MS;
      },
      60_000,
    );
    t.diagnostic(
      `slowest of 20 uploads: ${withMs.toFixed(1)} ms, without the others ${aloneMs.toFixed(1)} ms`,
    );
    const left = sockets.filter(({ destroyed }) => !destroyed).length;
    t.diagnostic(`slow connections still open: ${left}`);
  } finally {
    for (const socket of sockets) socket.destroy();
    await daemon.stop();
    place.remove();
  }
});
