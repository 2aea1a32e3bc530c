import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  decodeResponse,
  encodeInit,
  encodeRequest,
  MalformedPacketError,
  type SftpRequest,
} from '../../../src/delivery/incus/sftp-packet.ts';
import {
  attributesAnswer,
  handleAnswer,
  nameAnswer,
  readRequest,
  statusAnswer,
  versionAnswer,
} from '../../support/fake-incus-packets.ts';

const id = fc.integer({ min: 0, max: 0xffffffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const path = fc.string({ unit: 'grapheme', minLength: 1 }).map((name) => `/${name}`);
const handle = fc.string({ unit: 'grapheme-ascii' });
const change = fc.oneof(
  u32.map((mode) => ({ mode })),
  fc.tuple(u32, u32).map(([uid, gid]) => ({ uid, gid })),
  fc.maxSafeNat().map((size) => ({ size })),
);

/** Reads a packet as a server does, after checking its length prefix. */
function served(packet: Buffer, data: Buffer = Buffer.alloc(0)) {
  const whole = Buffer.concat([packet, data]);
  assert.equal(whole.readUInt32BE(0), whole.length - 4);
  return readRequest(whole.subarray(4));
}

describe('encodeRequest()', () => {
  it('writes what a server reads', () => {
    fc.assert(
      fc.property(id, path, path, handle, u32, change, (id, path, to, handle, flags, change) => {
        const handleBytes = Buffer.from(handle);
        const cases: [SftpRequest, object][] = [
          [
            { op: 'open', path, flags },
            { path, flags },
          ],
          [
            { op: 'setstat', path, change },
            { path, change },
          ],
          [
            { op: 'fsetstat', handle: handleBytes, change },
            { handle, change },
          ],
          [
            { op: 'rename', from: path, to },
            { path, to },
          ],
          [{ op: 'close', handle: handleBytes }, { handle }],
          [{ op: 'fstat', handle: handleBytes }, { handle }],
        ];
        for (const op of ['lstat', 'stat', 'readlink', 'remove', 'mkdir'] as const) {
          cases.push([{ op, path }, { path }]);
        }
        for (const [request, expected] of cases) {
          const read = served(encodeRequest(id, request));
          assert.deepEqual({ ...read, ...expected, id, op: request.op }, read);
        }
      }),
    );
  });

  it('leaves the data of a write to be sent behind it', () => {
    fc.assert(
      fc.property(id, handle, fc.maxSafeNat(), fc.uint8Array(), (id, handle, offset, array) => {
        const data = Buffer.from(array);
        const packet = encodeRequest(id, {
          op: 'write',
          handle: Buffer.from(handle),
          offset,
          length: data.length,
        });
        const read = served(packet, data);
        assert.deepEqual([read.op, read.id, read.handle, read.offset], ['write', id, handle, offset]);
        assert.ok(read.data.equals(data));
      }),
    );
  });
});

describe('encodeInit()', () => {
  it('asks for version 3', () => {
    assert.equal(encodeInit().toString('hex'), '000000050100000003');
  });
});

describe('decodeResponse()', () => {
  const decode = (packet: Buffer) => decodeResponse(packet.subarray(4));

  it('reads what a server writes', () => {
    fc.assert(
      fc.property(id, u32, fc.string({ unit: 'grapheme' }), fc.maxSafeNat(), (id, number, text, size) => {
        assert.deepEqual(decode(statusAnswer(id, number, text)), {
          kind: 'status',
          id,
          status: number,
          message: text,
        });
        assert.deepEqual(decode(handleAnswer(id, text)), { kind: 'handle', id, handle: Buffer.from(text) });
        assert.deepEqual(decode(nameAnswer(id, Buffer.from(text))), {
          kind: 'name',
          id,
          names: [Buffer.from(text)],
        });
        const attributes = { size, uid: number, gid: 7, mode: 0o100644 };
        assert.deepEqual(decode(attributesAnswer(id, attributes)), { kind: 'attributes', id, attributes });
      }),
    );
  });

  it('reads the version and the names of its extensions', () => {
    assert.deepEqual(decode(versionAnswer()), {
      kind: 'version',
      version: 3,
      extensions: ['posix-rename@openssh.com', 'statvfs@openssh.com'],
    });
  });

  it('reads a status without a message', () => {
    const packet = Buffer.from([101, 0, 0, 0, 9, 0, 0, 0, 4]);
    assert.deepEqual(decodeResponse(packet), { kind: 'status', id: 9, status: 4, message: '' });
  });

  it('throws MalformedPacketError for whatever else comes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.constantFrom(2, 101, 102, 103, 104, 105, 201),
        (bytes, type) => {
          const packet = Buffer.from(bytes);
          if (packet.length > 0) packet[0] = type;
          try {
            decodeResponse(packet);
          } catch (error) {
            assert.ok(error instanceof MalformedPacketError, String(error));
          }
        },
      ),
    );
  });
});
