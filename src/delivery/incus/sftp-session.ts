/**
 * One SFTP conversation over one socket. Any number of requests are under way at once, told apart by their ids, so
 * files share a session without waiting for each other.
 *
 * Owns the socket. Promises that every request is answered or fails: when the socket ends, all pending ones fail with
 * the reason. It knows no time limits; callers hold their own and `destroy` a session that stalls. Leaves nothing.
 */
import type { Duplex } from 'node:stream';
import { messageOf } from '../../errors.ts';
import { PacketSplitter } from './packet-splitter.ts';
import { ConnectionError, type ConnectionPhase, SftpStatusError } from './seen-errors.ts';
import type { AttributeChange, SftpAttributes, SftpRequest, SftpResponse } from './sftp-packet.ts';
import {
  decodeResponse,
  encodeInit,
  encodeRequest,
  MalformedPacketError,
  SFTP_STATUS,
} from './sftp-packet.ts';

type Pending = {
  readonly resolve: (response: SftpResponse) => void;
  readonly reject: (error: unknown) => void;
};

/** Bytes handed to the socket and not yet taken by the system, above which writers wait. */
const MAX_BUFFERED_BYTES = 1024 * 1024;

export class SftpSession {
  readonly #socket: Duplex;
  readonly #pending = new Map<number, Pending>();
  readonly #drained: (() => void)[] = [];
  readonly #onEnd: (() => void)[] = [];
  #nextId = 1;
  #corked = false;
  #phase: ConnectionPhase = 'version';
  #failure: Error | undefined;
  #handshake: { resolve: () => void; reject: (error: unknown) => void } | undefined;

  /** `head`: bytes that came together with the answer 101. */
  constructor(socket: Duplex, head: Buffer) {
    this.#socket = socket;
    const splitter = new PacketSplitter((packet) => this.#answer(decodeResponse(packet)));
    const push = (chunk: Buffer) => {
      try {
        splitter.push(chunk);
      } catch (error) {
        this.destroy(new ConnectionError(this.#phase, messageOf(error), error));
      }
    };
    socket.on('data', push);
    socket.on('drain', () => this.#releaseWriters());
    socket.on('error', (error) => {
      this.destroy(new ConnectionError(this.#phase, `The connection broke: ${messageOf(error)}`, error));
    });
    const ended = () => this.destroy(new ConnectionError(this.#phase, 'The instance closed the connection'));
    socket.on('end', ended);
    socket.on('close', ended);
    if (head.length > 0) push(head);
  }

  /** Agrees on version 3; the first thing to be called, once. */
  handshake(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      this.#handshake = { resolve, reject };
      this.#socket.write(encodeInit());
    });
  }

  get alive(): boolean {
    return this.#failure === undefined;
  }

  /** Calls `listener` once when the session has ended, whoever ended it. */
  onEnd(listener: () => void): void {
    if (this.alive) this.#onEnd.push(listener);
    else listener();
  }

  destroy(reason: Error = new ConnectionError('session', 'The connection was closed here')): void {
    if (this.#failure !== undefined) return;
    this.#failure = reason;
    this.#socket.destroy();
    this.#handshake?.reject(reason);
    for (const { reject } of this.#pending.values()) reject(reason);
    this.#pending.clear();
    this.#releaseWriters();
    for (const listener of this.#onEnd.splice(0)) listener();
  }

  /** Resolves when the socket can take more; at once when the session has ended. */
  async writable(): Promise<void> {
    while (this.alive && this.#socket.writableLength > MAX_BUFFERED_BYTES) {
      await new Promise<void>((resolve) => this.#drained.push(resolve));
    }
  }

  async open(path: string, flags: number): Promise<Buffer> {
    const response = await this.#request({ op: 'open', path, flags });
    if (response.kind !== 'handle') throw refusalOf('open', response) ?? unexpected('open', response);
    return response.handle;
  }

  close(handle: Buffer): Promise<void> {
    return this.#command({ op: 'close', handle });
  }

  /**
   * Resolves when the instance has confirmed the data *and* the socket has let go of them; they are not copied. `onFree`
   * is called once, when their memory may be used again, also after a failure.
   */
  write(handle: Buffer, offset: number, data: Buffer, onFree?: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      let left = 2;
      const half = () => {
        left -= 1;
        if (left === 0) resolve();
      };
      const answered = (response: SftpResponse) => {
        const error = refusalOf('write', response);
        if (error === undefined) half();
        else reject(error);
      };
      this.#send({ op: 'write', handle, offset, length: data.length }, answered, reject);
      if (!this.alive) {
        onFree?.();
        return;
      }
      // Also called for what a socket still held when it was destroyed.
      this.#socket.write(data, (error) => {
        onFree?.();
        if (error === null || error === undefined) half();
        this.#releaseWriters();
      });
    });
  }

  lstat(path: string): Promise<SftpAttributes> {
    return this.#attributes({ op: 'lstat', path });
  }

  /** Follows links. */
  stat(path: string): Promise<SftpAttributes> {
    return this.#attributes({ op: 'stat', path });
  }

  fstat(handle: Buffer): Promise<SftpAttributes> {
    return this.#attributes({ op: 'fstat', handle });
  }

  setstat(path: string, change: AttributeChange): Promise<void> {
    return this.#command({ op: 'setstat', path, change });
  }

  fsetstat(handle: Buffer, change: AttributeChange): Promise<void> {
    return this.#command({ op: 'fsetstat', handle, change });
  }

  mkdir(path: string): Promise<void> {
    return this.#command({ op: 'mkdir', path });
  }

  remove(path: string): Promise<void> {
    return this.#command({ op: 'remove', path });
  }

  /** A directory that is empty. */
  rmdir(path: string): Promise<void> {
    return this.#command({ op: 'rmdir', path });
  }

  symlink(target: string, path: string): Promise<void> {
    return this.#command({ op: 'symlink', target, path });
  }

  async opendir(path: string): Promise<Buffer> {
    const response = await this.#request({ op: 'opendir', path });
    if (response.kind !== 'handle') throw refusalOf('opendir', response) ?? unexpected('opendir', response);
    return response.handle;
  }

  /** Some more names of an open directory; undefined at its end. */
  async readdir(handle: Buffer): Promise<readonly Buffer[] | undefined> {
    const response = await this.#request({ op: 'readdir', handle });
    if (response.kind === 'name') return response.names;
    if (response.kind === 'status' && response.status === SFTP_STATUS.endOfFile) return undefined;
    throw refusalOf('readdir', response) ?? unexpected('readdir', response);
  }

  /** Replaces what is at `to`, if it is no directory. */
  rename(from: string, to: string): Promise<void> {
    return this.#command({ op: 'rename', from, to });
  }

  /** The bytes that a symbolic link holds. */
  async readlink(path: string): Promise<Buffer> {
    const response = await this.#request({ op: 'readlink', path });
    const name = response.kind === 'name' ? response.names[0] : undefined;
    if (name === undefined) throw refusalOf('readlink', response) ?? unexpected('readlink', response);
    return name;
  }

  async #attributes(request: SftpRequest): Promise<SftpAttributes> {
    const response = await this.#request(request);
    if (response.kind !== 'attributes')
      throw refusalOf(request.op, response) ?? unexpected(request.op, response);
    return response.attributes;
  }

  async #command(request: SftpRequest): Promise<void> {
    const error = refusalOf(request.op, await this.#request(request));
    if (error !== undefined) throw error;
  }

  #request(request: SftpRequest): Promise<SftpResponse> {
    return new Promise((resolve, reject) => this.#send(request, resolve, reject));
  }

  #send(request: SftpRequest, resolve: Pending['resolve'], reject: Pending['reject']): void {
    if (this.#failure !== undefined) {
      reject(this.#failure);
      return;
    }
    const id = this.#nextId;
    this.#nextId = (id + 1) >>> 0;
    this.#pending.set(id, { resolve, reject });
    this.#cork();
    this.#socket.write(encodeRequest(id, request));
  }

  /** All that is sent in one turn of the event loop leaves in one system call: each one wakes Incus and its helper. */
  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#socket.cork();
    setImmediate(() => {
      this.#corked = false;
      this.#socket.uncork();
    });
  }

  #releaseWriters(): void {
    if (this.#drained.length === 0) return;
    if (this.alive && this.#socket.writableLength > MAX_BUFFERED_BYTES) return;
    for (const resolve of this.#drained.splice(0)) resolve();
  }

  #answer(response: SftpResponse): void {
    // Answers that came in one piece with the one that ended the session.
    if (!this.alive) return;
    if (response.kind === 'version') {
      this.#agree(response.version);
      return;
    }
    const pending = this.#pending.get(response.id);
    if (pending === undefined)
      throw new MalformedPacketError(`an answer to request ${response.id}, never asked`);
    this.#pending.delete(response.id);
    pending.resolve(response);
  }

  #agree(version: number): void {
    const handshake = this.#handshake;
    if (handshake === undefined || this.#phase !== 'version')
      throw new MalformedPacketError('an unasked VERSION');
    if (version < 3) throw new MalformedPacketError(`version ${version}, expected 3`);
    this.#phase = 'session';
    handshake.resolve();
  }
}

/** The error that an answer stands for, or undefined when it is the status "ok". */
function refusalOf(op: string, response: SftpResponse): Error | undefined {
  if (response.kind !== 'status') return unexpected(op, response);
  return response.status === SFTP_STATUS.ok
    ? undefined
    : SftpStatusError.create(op, response.status, response.message);
}

function unexpected(op: string, response: SftpResponse): Error {
  return new ConnectionError('session', `Cannot read the SFTP answer: ${response.kind} to a request ${op}`);
}
