import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { eventually, type Harness, openHarness } from './harness.ts';
import { RawConnection } from './raw-exchange.ts';

let daemon: Harness;
before(async () => {
  daemon = await openHarness();
});
after(() => daemon.close());

const HEAD = 'POST /upload HTTP/1.1\r\nHost: x\r\nX-Container-Name: web\r\nX-File-Path: /tmp/f\r\n';

for (const size of [5, 200_000]) {
  test(`a sender that ends its side after a body of ${size} bytes is answered`, async () => {
    const connection = await RawConnection.open(daemon.port);
    connection.socket.end(`${HEAD}Content-Length: ${size}\r\n\r\n${'x'.repeat(size)}`);
    assert.equal((await connection.answer(0)).status, 202);
    await connection.untilClosed();
    await eventually('it is delivered', () => daemon.target.files.get('web:/tmp/f')?.length === size);
  });
}

test('a sender that ends its side after a whole request and a part of another is answered', async () => {
  const connection = await RawConnection.open(daemon.port);
  connection.socket.end(`${HEAD}Content-Length: 5\r\n\r\nhelloPOST /upload HT`);
  assert.equal((await connection.answer(0)).status, 202);
  await connection.untilClosed();
  assert.equal(connection.answers.length, 1);
  await eventually('it is delivered', () => daemon.context.spool.live.size === 0);
});

test('a sender that ends its side in the middle of the body leaves nothing behind', async () => {
  daemon.target.files.clear();
  const connection = await RawConnection.open(daemon.port);
  connection.socket.end(`${HEAD}Content-Length: 9\r\n\r\nhello`);
  await connection.untilClosed();
  assert.deepEqual(
    connection.answers.filter(({ status }) => status < 400),
    [],
  );
  await eventually('nothing is under way', () => daemon.context.stats.uploadsUnderWay === 0);
  assert.equal(daemon.target.files.size, 0);
});

test('who waits for events and ends its side is let go', async () => {
  const socket = connect({ host: '127.0.0.1', port: daemon.port });
  socket.write('GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(socket, 'data');
  socket.end();
  await once(socket, 'close', { signal: AbortSignal.timeout(10_000) });
});
