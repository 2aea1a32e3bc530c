import type { IncomingMessage } from 'node:http';

/** Where a request came from, for the log: an address, or `unix`, whose peers cannot be told apart. */
export function peerOf({ socket }: IncomingMessage): string {
  return socket.remoteAddress ?? 'unix';
}
