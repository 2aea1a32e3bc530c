import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { ConnectionError, SftpStatusError } from '../../../src/delivery/incus/seen-errors.ts';
import { SftpSession } from '../../../src/delivery/incus/sftp-session.ts';
import { handleAnswer, readRequest, statusAnswer, versionAnswer } from '../../support/fake-incus-packets.ts';

/** A socket whose other end is the test. */
class TestSocket extends Duplex {
  readonly written: Buffer[] = [];
  readonly #held: (() => void)[] = [];
  holding = false;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written.push(chunk);
    if (this.holding) this.#held.push(done);
    else done();
  }

  letGo(): void {
    this.holding = false;
    for (const done of this.#held.splice(0)) done();
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function openSession() {
  const socket = new TestSocket();
  const session = new SftpSession(socket, Buffer.alloc(0));
  const agreed = session.handshake();
  socket.push(versionAnswer());
  await agreed;
  socket.written.length = 0;
  return { socket, session };
}

describe('SftpSession', () => {
  it('handshake() takes a VERSION that came together with the answer 101', async () => {
    const socket = new TestSocket();
    const session = new SftpSession(socket, Buffer.alloc(0));
    const agreed = session.handshake();
    socket.push(versionAnswer());
    await agreed;
    assert.ok(session.alive);
    session.destroy();
  });

  it('handshake() refuses what is no VERSION 3', async () => {
    const old = versionAnswer();
    old.writeUInt32BE(2, 5);
    for (const answer of [
      old,
      Buffer.from('HTTP/1.1 400 Bad'),
      Buffer.from([0, 0, 0, 1, 2]),
      statusAnswer(1, 0, ''),
    ]) {
      const socket = new TestSocket();
      const session = new SftpSession(socket, Buffer.alloc(0));
      const agreed = session.handshake();
      socket.push(answer);
      await assert.rejects(agreed, ConnectionError);
      assert.ok(socket.destroyed);
    }
  });

  it('gives each answer to the request it belongs to', async () => {
    const { socket, session } = await openSession();
    const first = session.open('/a', 0);
    const second = session.open('/b', 0);
    const third = session.mkdir('/c');
    await turn();
    const ids = socket.written.map((packet) => readRequest(packet.subarray(4)).id);
    socket.push(statusAnswer(ids[2] ?? 0, 4, 'mkdir /c: file exists'));
    socket.push(handleAnswer(ids[1] ?? 0, 'B'));
    socket.push(handleAnswer(ids[0] ?? 0, 'A'));
    assert.deepEqual([String(await first), String(await second)], ['A', 'B']);
    await assert.rejects(third, (error) => {
      assert.ok(error instanceof SftpStatusError);
      assert.deepEqual([error.op, error.status, error.text], ['mkdir', 4, 'mkdir /c: file exists']);
      return true;
    });
    session.destroy();
  });

  it('write() does not give the buffer back before the socket has let go of it', async () => {
    const { socket, session } = await openSession();
    socket.holding = true;
    let done = false;
    const writing = session.write(Buffer.from('h'), 0, Buffer.from('secret')).then(() => {
      done = true;
    });
    await turn();
    // A hostile helper confirms what it cannot have got.
    socket.push(statusAnswer(1, 0, ''));
    await turn();
    assert.ok(!done);
    socket.letGo();
    await turn();
    await turn();
    socket.letGo();
    await writing;
    session.destroy();
  });

  it('writable() waits while the socket is full', async () => {
    const { socket, session } = await openSession();
    socket.holding = true;
    session.write(Buffer.from('h'), 0, Buffer.alloc(2 * 1024 * 1024)).catch(() => {});
    await turn();
    let writable = false;
    const waiting = session.writable().then(() => {
      writable = true;
    });
    await turn();
    assert.ok(!writable);
    while (socket.writableLength > 0) {
      socket.letGo();
      await turn();
    }
    await waiting;
    session.destroy();
  });

  it('every request fails when the socket ends, and every later one', async () => {
    for (const end of [
      (socket: TestSocket) => socket.push(null),
      (socket: TestSocket) => socket.destroy(),
      (socket: TestSocket) => socket.destroy(new Error('ECONNRESET')),
      (socket: TestSocket) => socket.push(statusAnswer(99, 0, '')),
      (socket: TestSocket) => socket.push(Buffer.from([0xff, 0xff, 0xff, 0xff])),
      (socket: TestSocket) => socket.push(Buffer.from([0, 0, 0, 5, 77, 0, 0, 0, 1])),
    ]) {
      const { socket, session } = await openSession();
      let ended = 0;
      session.onEnd(() => {
        ended += 1;
      });
      const pending = [
        session.open('/a', 0),
        session.stat('/b'),
        session.write(Buffer.from('h'), 0, Buffer.from('x')),
      ];
      const settled = Promise.allSettled(pending);
      end(socket);
      for (const result of await settled) {
        assert.ok(result.status === 'rejected' && result.reason instanceof ConnectionError);
      }
      assert.ok(!session.alive && socket.destroyed);
      await assert.rejects(session.remove('/a'), ConnectionError);
      await session.writable();
      assert.equal(ended, 1);
      session.onEnd(() => {
        ended += 1;
      });
      assert.equal(ended, 2);
    }
  });

  it('an answer of the wrong kind is an error, not a result', async () => {
    const { socket, session } = await openSession();
    const opening = session.open('/a', 0);
    const closing = session.close(Buffer.from('h'));
    await turn();
    socket.push(statusAnswer(1, 0, ''));
    socket.push(handleAnswer(2, 'h'));
    await assert.rejects(opening, ConnectionError);
    await assert.rejects(closing, ConnectionError);
    session.destroy();
  });
});
