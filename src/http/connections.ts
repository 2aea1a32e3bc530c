/**
 * The connections of all listeners: how many may be open at once, and how they end when the daemon stops. Each costs a
 * descriptor, and a process without free descriptors can accept no file; so beyond the limit connections are closed
 * again at once, and one peer on the network gets only a part of them. Peers of a unix socket cannot be told apart.
 */
import { readFileSync } from 'node:fs';
import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

const MOST = 16_384;
/** Of the descriptors of this process and of all connections, respectively. */
const SHARE = 3 / 4;
const SWEEP_EVERY_MS = 1000;
const LOOK_EVERY_MS = 20;

export type ConnectionLimits = { readonly total: number; readonly perPeer: number };

/** The limits that fit the number of descriptors this process may open. */
export function defaultConnectionLimits(): ConnectionLimits {
  const total = Math.min(MOST, Math.floor(maxOpenFiles() * SHARE));
  return { total, perPeer: Math.ceil(total * SHARE) };
}

export class Connections {
  limits: ConnectionLimits;
  readonly #onDropped: (peer: string) => void;
  readonly #byPeer = new Map<string, number>();
  /** The last answer that was begun on each connection that speaks HTTP. */
  readonly #latest = new Map<Duplex, ServerResponse | undefined>();
  #open = 0;
  #lastBeganMs = 0;
  #sweptAtMs = Number.NEGATIVE_INFINITY;

  /** `onDropped` is told of connections that were too many, at most once a second. */
  constructor(limits: ConnectionLimits, onDropped: (peer: string) => void) {
    this.limits = limits;
    this.#onDropped = onDropped;
  }

  get open(): number {
    return this.#open;
  }

  /** Counts the connections of a server from now on. */
  watch(server: Server, isTls: boolean): void {
    server.on('connection', (socket: Socket) => this.#onConnection(server, socket));
    server.on(isTls ? 'secureConnection' : 'connection', (socket: Socket) => {
      this.#latest.set(socket, undefined);
      // Node remembers what it was asked once: the log shall know the peer also after it has gone.
      void socket.remoteAddress;
      socket.once('close', () => this.#latest.delete(socket));
      socket.once('end', () => this.#onEnd(socket));
    });
  }

  /** A request was begun. */
  began(socket: Duplex, res: ServerResponse): void {
    this.#latest.set(socket, res);
    this.#lastBeganMs = performance.now();
  }

  /** The last request on a connection, whether answered or not. */
  latest(socket: Duplex): ServerResponse | undefined {
    return this.#latest.get(socket);
  }

  /** Resolves when no request came for `quietMs`, or after `limitMs`. */
  async untilUnused(quietMs: number, limitMs: number): Promise<void> {
    const startedMs = performance.now();
    for (;;) {
      const nowMs = performance.now();
      if (nowMs - startedMs >= limitMs || nowMs - Math.max(startedMs, this.#lastBeganMs) >= quietMs) return;
      await delay(LOOK_EVERY_MS);
    }
  }

  /** Resolves when no request is under way; more may come. */
  async untilQuiet(): Promise<void> {
    while ([...this.#latest.values()].some(isUnderWay)) await delay(LOOK_EVERY_MS);
  }

  /** Ends the connections without a request under way, also those that never had any. */
  endIdle(): void {
    for (const [socket, res] of this.#latest) if (!isUnderWay(res)) socket.destroy();
  }

  /** The peer sends no more. Who sent a file still waits for the answer; who only asked to be told later is gone. */
  #onEnd(socket: Socket): void {
    const { method } = this.#latest.get(socket)?.req ?? {};
    if (method !== 'POST' && method !== 'PUT') socket.end();
  }

  #onConnection(server: Server, socket: Socket): void {
    const peer = socket.remoteAddress;
    const ofPeer = (peer === undefined ? 0 : (this.#byPeer.get(peer) ?? 0)) + 1;
    this.#open += 1;
    if (peer !== undefined) this.#byPeer.set(peer, ofPeer);
    socket.once('close', () => {
      this.#open -= 1;
      if (peer === undefined) return;
      const left = (this.#byPeer.get(peer) ?? 1) - 1;
      if (left === 0) this.#byPeer.delete(peer);
      else this.#byPeer.set(peer, left);
    });
    if (this.#open <= this.limits.total && ofPeer <= this.limits.perPeer) return;
    socket.destroy();
    const nowMs = performance.now();
    if (nowMs - this.#sweptAtMs < SWEEP_EVERY_MS) return;
    this.#sweptAtMs = nowMs;
    // Connections that only wait for another request make room for the next that come.
    server.closeIdleConnections();
    this.#onDropped(peer ?? 'unix');
  }
}

function isUnderWay(res: ServerResponse | undefined): boolean {
  return res !== undefined && !res.writableFinished && !res.destroyed;
}

function maxOpenFiles(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}
