/**
 * Cuts a stream of bytes into packets that each start with their length (u32, big endian). Each byte is copied at
 * most once, whatever pieces it comes in, and never more than one packet of at most `maxBytes` is held: the other side
 * is an instance that may be hostile.
 */
import { MalformedPacketError } from './sftp-packet.ts';

/** Incus's SFTP helper never sends more than this; read by nobody, an answer is a few hundred bytes. */
export const MAX_PACKET_BYTES = 262_144;

export class PacketSplitter {
  readonly #onPacket: (packet: Buffer) => void;
  readonly #maxBytes: number;
  readonly #prefix = Buffer.alloc(4);
  #prefixBytes = 0;
  /** The packet that is arriving, once its length is known and it did not come whole. */
  #packet: Buffer | undefined;
  #packetBytes = 0;

  /** `onPacket` gets a packet without its length; the bytes are valid only during the call. */
  constructor(onPacket: (packet: Buffer) => void, maxBytes = MAX_PACKET_BYTES) {
    this.#onPacket = onPacket;
    this.#maxBytes = maxBytes;
  }

  /** Throws {@link MalformedPacketError}; the stream is useless then. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#packet !== undefined) {
        at += this.#fill(this.#packet, chunk, at);
        continue;
      }
      const copied = chunk.copy(this.#prefix, this.#prefixBytes, at, at + 4 - this.#prefixBytes);
      at += copied;
      this.#prefixBytes += copied;
      if (this.#prefixBytes < 4) return;
      this.#prefixBytes = 0;
      const length = this.#prefix.readUInt32BE(0);
      if (length === 0 || length > this.#maxBytes) {
        throw new MalformedPacketError(`a packet of ${length} bytes, expected 1 to ${this.#maxBytes}`);
      }
      if (at + length <= chunk.length) {
        this.#onPacket(chunk.subarray(at, at + length));
        at += length;
      } else {
        this.#packet = Buffer.allocUnsafe(length);
        this.#packetBytes = 0;
      }
    }
  }

  #fill(packet: Buffer, chunk: Buffer, at: number): number {
    const copied = chunk.copy(packet, this.#packetBytes, at);
    this.#packetBytes += copied;
    if (this.#packetBytes === packet.length) {
      this.#packet = undefined;
      this.#onPacket(packet);
    }
    return copied;
  }
}
