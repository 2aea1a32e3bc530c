import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PacketSplitter } from '../../../src/delivery/incus/packet-splitter.ts';
import { MalformedPacketError } from '../../../src/delivery/incus/sftp-packet.ts';

function frame(packet: Uint8Array): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(packet.length);
  return Buffer.concat([prefix, packet]);
}

describe('PacketSplitter', () => {
  it('push() finds the packets however the stream is cut', () => {
    const packets = fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 20 });
    fc.assert(
      fc.property(packets, fc.infiniteStream(fc.integer({ min: 1, max: 40 })), (packets, cuts) => {
        const stream = Buffer.concat(packets.map(frame));
        const found: string[] = [];
        const splitter = new PacketSplitter((packet) => found.push(packet.toString('hex')), 50);
        for (let at = 0; at < stream.length; ) {
          const next = at + cuts.next().value;
          splitter.push(stream.subarray(at, next));
          at = next;
        }
        assert.deepEqual(
          found,
          packets.map((packet) => Buffer.from(packet).toString('hex')),
        );
      }),
    );
  });

  it('push() refuses a packet that is longer than allowed, or empty, before it arrives', () => {
    for (const length of [0, 101, 0xffffffff]) {
      const splitter = new PacketSplitter(() => assert.fail('a packet'), 100);
      const prefix = Buffer.alloc(4);
      prefix.writeUInt32BE(length);
      assert.throws(() => splitter.push(prefix), MalformedPacketError);
    }
  });

  it('push() takes a large packet byte by byte in linear time', () => {
    let bytes = 0;
    const splitter = new PacketSplitter((packet) => {
      bytes = packet.length;
    });
    const stream = frame(Buffer.alloc(262_144, 1));
    for (let at = 0; at < stream.length; at += 1) splitter.push(stream.subarray(at, at + 1));
    assert.equal(bytes, 262_144);
  });
});
