/** One SFTP conversation of the fake Incus, with the faults that are switched on. */
import * as fs from 'node:fs';
import type { Duplex } from 'node:stream';
import { PacketSplitter } from '../../src/delivery/incus/packet-splitter.ts';
import { FakeFiles, FakeStatus, statusOf } from './fake-incus-files.ts';
import type { FakeRequest } from './fake-incus-packets.ts';
import {
  attributesAnswer,
  handleAnswer,
  nameAnswer,
  readRequest,
  statusAnswer,
  versionAnswer,
} from './fake-incus-packets.ts';

export type FakeOperation = {
  readonly session: number;
  readonly instance: string;
  readonly op: string;
  readonly path: string;
  readonly to: string;
  readonly offset: number;
  readonly bytes: number;
  readonly change: FakeRequest['change'];
};

/** Each is off while undefined. They act on requests that come after they were switched on. */
export type FakeFaults = {
  /** Answers requests for SFTP with an API error. */
  httpError?: { status: number; message: string } | undefined;
  /** Answers every request, also `/1.0`, with an API error. */
  apiError?: { status: number; message: string } | undefined;
  /** Takes requests for SFTP and never answers. */
  hangBeforeUpgrade?: boolean | undefined;
  /** Never answers anything, also `/1.0`. */
  hangApi?: boolean | undefined;
  noVersion?: boolean | undefined;
  eofBeforeVersion?: boolean | undefined;
  /** Sends these bytes instead of VERSION. */
  versionBytes?: Buffer | undefined;
  /** Cuts the connection after that many bytes from the client, counted for each session. */
  cutAfterBytes?: number | undefined;
  /** Does nothing and says nothing on these requests, nor on any later one of the session. */
  hangAt?: string | undefined;
  /** With `hangAt: 'write'`: so many writes are still done. */
  hangAfterWrites?: number | undefined;
  /** Does these requests and never says so. */
  muteAt?: string | undefined;
  /** Does these requests only then, whether or not the client has gone meanwhile. */
  late?: { readonly op: string; readonly until: Promise<void> } | undefined;
  /** Does these requests and then cuts the connection. */
  cutAt?: string | undefined;
  /** Answers that much later, in order. */
  delayMs?: number | undefined;
  /** Bytes that the disk of the instance still takes; counted down by writes. */
  diskBytes?: number | undefined;
  /** A write beyond the disk says "ok" and is lost, as a swallowed error does. */
  loseWrites?: boolean | undefined;
  /** Refuses requests of an operation. */
  statusFor?: Readonly<Record<string, { status: number; text: string }>> | undefined;
  /** Answers requests of an operation with these bytes. */
  bytesFor?: Readonly<Record<string, Buffer>> | undefined;
  /** Answers of one flight go out last first. */
  reverseAnswers?: boolean | undefined;
  /** As pkg/sftp up to 1.13.6: setuid, setgid and sticky are not kept. */
  dropSpecialBits?: boolean | undefined;
};

export type FakeSession = {
  readonly instance: string;
  /** Cuts it. */
  destroy(): void;
};

type Options = {
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly number: number;
  readonly instance: string;
  readonly root: string;
  readonly faults: FakeFaults;
  readonly onOperation: (operation: FakeOperation) => void;
  readonly onEnd: () => void;
};

export function serveFakeSftp(options: Options): FakeSession {
  const { socket, faults } = options;
  const files = new FakeFiles(options.root);
  const handles = new Map<string, number>();
  /** Names of open directories that are still to be told. */
  const listings = new Map<string, Buffer[]>();
  let nextHandle = 0;
  let hanging = false;
  let received = 0;
  let writes = 0;
  let flight: Buffer[] = [];

  const send = (bytes: Buffer) => {
    flight.push(bytes);
    if (flight.length > 1) return;
    const flush = () => {
      const answers = faults.reverseAnswers ? flight.reverse() : flight;
      flight = [];
      if (!socket.destroyed) socket.write(Buffer.concat(answers));
    };
    if (faults.delayMs !== undefined) setTimeout(flush, faults.delayMs);
    else setImmediate(flush);
  };

  const perform = (request: FakeRequest): Buffer => {
    const { id, op, path, to, handle, data, offset, change } = request;
    const fd = () => {
      const known = handles.get(handle);
      if (known === undefined) throw new FakeStatus(4, 'bad file descriptor');
      return known;
    };
    const kept = faults.dropSpecialBits && change.mode !== undefined ? { mode: change.mode & 0o777 } : change;
    switch (op) {
      case 'open': {
        const opened = files.open(path, request.flags);
        nextHandle += 1;
        handles.set(String(nextHandle), opened);
        return handleAnswer(id, String(nextHandle));
      }
      case 'opendir':
        nextHandle += 1;
        listings.set(String(nextHandle), files.readdir(path));
        return handleAnswer(id, String(nextHandle));
      case 'readdir': {
        const names = listings.get(handle)?.splice(0, 2) ?? [];
        return names.length === 0 ? statusAnswer(id, 1, 'EOF') : nameAnswer(id, ...names);
      }
      case 'close':
        if (listings.delete(handle)) return statusAnswer(id, 0, '');
        fs.closeSync(fd());
        handles.delete(handle);
        return statusAnswer(id, 0, '');
      case 'write':
        writeWithin(fd(), data, offset);
        return statusAnswer(id, 0, '');
      case 'fstat':
        return attributesAnswer(id, files.attributes(fs.fstatSync(fd())));
      case 'lstat':
      case 'stat':
        return attributesAnswer(id, files[op](path));
      case 'readlink':
        return nameAnswer(id, files.readlink(path));
      case 'fsetstat':
        files.change(fd(), kept);
        return statusAnswer(id, 0, '');
      case 'setstat':
        files.setstat(path, kept);
        return statusAnswer(id, 0, '');
      case 'mkdir':
      case 'remove':
        files[op](path);
        return statusAnswer(id, 0, '');
      case 'rmdir':
        files.remove(path);
        return statusAnswer(id, 0, '');
      case 'symlink':
        files.symlink(to, path);
        return statusAnswer(id, 0, '');
      case 'rename':
        files.rename(path, to);
        return statusAnswer(id, 0, '');
      default:
        throw new FakeStatus(8, `unsupported: ${op}`);
    }
  };

  const writeWithin = (fd: number, data: Buffer, offset: number) => {
    const room = faults.diskBytes ?? Number.POSITIVE_INFINITY;
    const fitting = data.subarray(0, Math.min(data.length, room));
    if (faults.diskBytes !== undefined) faults.diskBytes = room - fitting.length;
    fs.writeSync(fd, fitting, 0, fitting.length, offset);
    if (fitting.length < data.length && !faults.loseWrites) throw statusOf('ENOSPC', 'write');
  };

  const answerTo = (request: FakeRequest): Buffer => {
    const refused = faults.statusFor?.[request.op];
    try {
      if (refused !== undefined) throw new FakeStatus(refused.status, refused.text);
      return perform(request);
    } catch (error) {
      if (!(error instanceof FakeStatus)) throw error;
      return statusAnswer(request.id, error.status, error.message);
    }
  };

  const splitter = new PacketSplitter((packet) => {
    const request = readRequest(packet);
    const { op, path, to, offset, data, change } = request;
    const { number: session, instance } = options;
    options.onOperation({ session, instance, op, path, to, offset, bytes: data.length, change });
    if (op === 'init') {
      if (faults.eofBeforeVersion) socket.end();
      else if (!faults.noVersion) send(faults.versionBytes ?? versionAnswer());
      return;
    }
    if (op === 'write') writes += 1;
    const due = op !== 'write' || writes > (faults.hangAfterWrites ?? 0);
    if (op === faults.hangAt && due) hanging = true;
    if (hanging) return;
    if (op === faults.late?.op) {
      void faults.late.until.then(() => send(answerTo(request)));
      return;
    }
    const bytes = faults.bytesFor?.[op] ?? answerTo(request);
    if (op === faults.cutAt) socket.destroy();
    else if (op !== faults.muteAt) send(bytes);
  });

  const receive = (chunk: Buffer) => {
    received += chunk.length;
    try {
      splitter.push(chunk);
    } catch {
      // The real helper crashes on what it does not know.
      socket.destroy();
    }
    if (faults.cutAfterBytes !== undefined && received >= faults.cutAfterBytes) socket.destroy();
  };
  socket.on('data', receive);
  socket.on('error', () => {});
  socket.on('end', () => socket.destroy());
  socket.on('close', () => {
    for (const fd of handles.values()) fs.closeSync(fd);
    handles.clear();
    options.onEnd();
  });
  if (options.head.length > 0) receive(options.head);
  return { instance: options.instance, destroy: () => socket.destroy() };
}
