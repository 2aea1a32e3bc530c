/**
 * The packets of SFTP version 3 that deliveries need (draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL file for
 * posix-rename). Pure: bytes in, values out. Owns nothing, leaves nothing.
 *
 * An unknown packet *type* crashes the SFTP helper of an instance, so only these are ever sent.
 */

export const PACKET_TYPE = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  rmdir: 15,
  stat: 17,
  readlink: 19,
  symlink: 20,
  status: 101,
  handle: 102,
  name: 104,
  attributes: 105,
  extended: 200,
} as const;

export const OPEN_FLAG = { read: 0x01, write: 0x02, create: 0x08, truncate: 0x10, exclusive: 0x20 } as const;

/** Status codes, section 7 of the draft. */
export const SFTP_STATUS = {
  ok: 0,
  endOfFile: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  noConnection: 6,
  connectionLost: 7,
  unsupported: 8,
} as const;

const ATTRIBUTE_FLAG = { size: 0x01, owner: 0x02, mode: 0x04, times: 0x08, extended: 0x80000000 } as const;

/**
 * What one SETSTAT or FSETSTAT changes. One kind each: servers built on pkg/sftp up to 1.13.6 misread packets that
 * change several kinds at once.
 */
export type AttributeChange =
  | { readonly mode: number }
  | { readonly uid: number; readonly gid: number }
  | { readonly size: number };

export type SftpRequest =
  | { readonly op: 'open'; readonly path: string; readonly flags: number }
  | { readonly op: 'close' | 'fstat' | 'readdir'; readonly handle: Buffer }
  | {
      readonly op: 'lstat' | 'stat' | 'readlink' | 'remove' | 'mkdir' | 'rmdir' | 'opendir';
      readonly path: string;
    }
  | { readonly op: 'symlink'; readonly target: string; readonly path: string }
  | { readonly op: 'setstat'; readonly path: string; readonly change: AttributeChange }
  | { readonly op: 'fsetstat'; readonly handle: Buffer; readonly change: AttributeChange }
  /** The data follow the packet as they are, uncopied: `length` bytes. */
  | { readonly op: 'write'; readonly handle: Buffer; readonly offset: number; readonly length: number }
  /** Overwrites; an extended request. */
  | { readonly op: 'rename'; readonly from: string; readonly to: string };

export type SftpAttributes = {
  readonly size: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  /** File type and permission bits, as in `st_mode`. */
  readonly mode: number | undefined;
};

export type SftpResponse =
  | { readonly kind: 'version'; readonly version: number; readonly extensions: readonly string[] }
  | { readonly kind: 'status'; readonly id: number; readonly status: number; readonly message: string }
  | { readonly kind: 'handle'; readonly id: number; readonly handle: Buffer }
  | { readonly kind: 'name'; readonly id: number; readonly names: readonly Buffer[] }
  | { readonly kind: 'attributes'; readonly id: number; readonly attributes: SftpAttributes };

export class MalformedPacketError extends Error {
  constructor(what: string) {
    super(`Cannot read the SFTP answer: ${what}`);
    this.name = 'MalformedPacketError';
  }
}

/** INIT for version 3. */
export function encodeInit(): Buffer {
  return Buffer.from([0, 0, 0, 5, PACKET_TYPE.init, 0, 0, 0, 3]);
}

/** One request with its length prefix. Of a write, all but the data. */
export function encodeRequest(id: number, request: SftpRequest): Buffer {
  switch (request.op) {
    case 'open': {
      const packet = new PacketWriter(PACKET_TYPE.open, id, textSize(request.path) + 8);
      return packet.text(request.path).u32(request.flags).u32(0).done();
    }
    case 'close':
    case 'fstat':
    case 'readdir':
      return new PacketWriter(PACKET_TYPE[request.op], id, 4 + request.handle.length)
        .bytes(request.handle)
        .done();
    case 'mkdir':
      return new PacketWriter(PACKET_TYPE.mkdir, id, textSize(request.path) + 4)
        .text(request.path)
        .u32(0)
        .done();
    case 'lstat':
    case 'stat':
    case 'readlink':
    case 'remove':
    case 'rmdir':
    case 'opendir':
      return new PacketWriter(PACKET_TYPE[request.op], id, textSize(request.path)).text(request.path).done();
    case 'symlink': {
      // The target first, as OpenSSH and Incus have it; the draft says the opposite.
      const size = textSize(request.target) + textSize(request.path);
      return new PacketWriter(PACKET_TYPE.symlink, id, size).text(request.target).text(request.path).done();
    }
    case 'setstat':
      return new PacketWriter(PACKET_TYPE.setstat, id, textSize(request.path) + 12)
        .text(request.path)
        .change(request.change)
        .done();
    case 'fsetstat':
      return new PacketWriter(PACKET_TYPE.fsetstat, id, 4 + request.handle.length + 12)
        .bytes(request.handle)
        .change(request.change)
        .done();
    case 'write': {
      const packet = new PacketWriter(PACKET_TYPE.write, id, 4 + request.handle.length + 12);
      return packet.bytes(request.handle).u64(request.offset).u32(request.length).done(request.length);
    }
    case 'rename': {
      const size = textSize('posix-rename@openssh.com') + textSize(request.from) + textSize(request.to);
      const packet = new PacketWriter(PACKET_TYPE.extended, id, size);
      return packet.text('posix-rename@openssh.com').text(request.from).text(request.to).done();
    }
  }
}

/** Reads one packet without its length prefix; throws {@link MalformedPacketError}. */
export function decodeResponse(packet: Buffer): SftpResponse {
  const reader = new PacketReader(packet);
  const type = reader.u8();
  const id = reader.u32();
  switch (type) {
    case PACKET_TYPE.version:
      return { kind: 'version', version: id, extensions: reader.extensionNames() };
    case PACKET_TYPE.status:
      // The message came with version 3; without it a status is still a status.
      return { kind: 'status', id, status: reader.u32(), message: reader.left > 0 ? reader.text() : '' };
    case PACKET_TYPE.handle:
      return { kind: 'handle', id, handle: Buffer.from(reader.bytes()) };
    case PACKET_TYPE.attributes:
      return { kind: 'attributes', id, attributes: reader.attributes() };
    case PACKET_TYPE.name:
      return { kind: 'name', id, names: reader.names() };
    default:
      throw new MalformedPacketError(`a packet of type ${type}`);
  }
}

function textSize(text: string): number {
  return 4 + Buffer.byteLength(text);
}

class PacketWriter {
  readonly #buffer: Buffer;
  #at = 9;

  constructor(type: number, id: number, bodyBytes: number) {
    this.#buffer = Buffer.allocUnsafe(9 + bodyBytes);
    this.#buffer[4] = type;
    this.#buffer.writeUInt32BE(id, 5);
  }

  u32(value: number): this {
    this.#at = this.#buffer.writeUInt32BE(value >>> 0, this.#at);
    return this;
  }

  u64(value: number): this {
    return this.u32(Math.floor(value / 2 ** 32)).u32(value % 2 ** 32);
  }

  text(text: string): this {
    const bytes = this.#buffer.write(text, this.#at + 4, 'utf8');
    this.u32(bytes);
    this.#at += bytes;
    return this;
  }

  bytes(bytes: Buffer): this {
    this.u32(bytes.length);
    this.#at += bytes.copy(this.#buffer, this.#at);
    return this;
  }

  change(change: AttributeChange): this {
    if ('mode' in change) return this.u32(ATTRIBUTE_FLAG.mode).u32(change.mode);
    if ('size' in change) return this.u32(ATTRIBUTE_FLAG.size).u64(change.size);
    return this.u32(ATTRIBUTE_FLAG.owner).u32(change.uid).u32(change.gid);
  }

  /** `dataBytes` more belong to the packet and are sent behind it. */
  done(dataBytes = 0): Buffer {
    this.#buffer.writeUInt32BE(this.#at - 4 + dataBytes, 0);
    return this.#at === this.#buffer.length ? this.#buffer : this.#buffer.subarray(0, this.#at);
  }
}

class PacketReader {
  readonly #packet: Buffer;
  #at = 0;

  constructor(packet: Buffer) {
    this.#packet = packet;
  }

  get left(): number {
    return this.#packet.length - this.#at;
  }

  u8(): number {
    return this.#packet.readUInt8(this.#take(1));
  }

  u32(): number {
    return this.#packet.readUInt32BE(this.#take(4));
  }

  u64(): number {
    return this.u32() * 2 ** 32 + this.u32();
  }

  bytes(): Buffer {
    const length = this.u32();
    const from = this.#take(length);
    return this.#packet.subarray(from, from + length);
  }

  text(): string {
    return this.bytes().toString('utf8');
  }

  attributes(): SftpAttributes {
    const flags = this.u32();
    const size = flags & ATTRIBUTE_FLAG.size ? this.u64() : undefined;
    const [uid, gid] = flags & ATTRIBUTE_FLAG.owner ? [this.u32(), this.u32()] : [undefined, undefined];
    const mode = flags & ATTRIBUTE_FLAG.mode ? this.u32() : undefined;
    if (flags & ATTRIBUTE_FLAG.times) this.#take(8);
    if (flags & ATTRIBUTE_FLAG.extended) {
      for (let left = this.u32(); left > 0; left -= 1) {
        this.bytes();
        this.bytes();
      }
    }
    return { size, uid, gid, mode };
  }

  names(): Buffer[] {
    const names: Buffer[] = [];
    for (let left = this.u32(); left > 0; left -= 1) {
      names.push(Buffer.from(this.bytes()));
      this.bytes();
      this.attributes();
    }
    return names;
  }

  extensionNames(): string[] {
    const names: string[] = [];
    while (this.left > 0) {
      names.push(this.text());
      this.bytes();
    }
    return names;
  }

  #take(length: number): number {
    if (length > this.left) throw new MalformedPacketError('it ends too early');
    const from = this.#at;
    this.#at += length;
    return from;
  }
}
