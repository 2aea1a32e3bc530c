/** The server's side of SFTP version 3: requests in, answers out. Apart from the client's codec on purpose. */

export type FakeRequest = {
  readonly id: number;
  readonly op: string;
  readonly path: string;
  readonly to: string;
  readonly handle: string;
  readonly flags: number;
  readonly offset: number;
  readonly data: Buffer;
  readonly change: { size?: number; uid?: number; gid?: number; mode?: number };
};

const OPS: Readonly<Record<number, string>> = {
  1: 'init',
  3: 'open',
  4: 'close',
  6: 'write',
  7: 'lstat',
  8: 'fstat',
  9: 'setstat',
  10: 'fsetstat',
  11: 'opendir',
  12: 'readdir',
  13: 'remove',
  14: 'mkdir',
  15: 'rmdir',
  17: 'stat',
  19: 'readlink',
  20: 'symlink',
  200: 'extended',
};

const EMPTY = Buffer.alloc(0);

/** Reads a request; an unknown type or a short packet throws, as it crashes the real helper. */
export function readRequest(packet: Buffer): FakeRequest {
  let at = 5;
  const type = packet.readUInt8(0);
  const id = packet.readUInt32BE(1);
  const u32 = () => {
    at += 4;
    return packet.readUInt32BE(at - 4);
  };
  const u64 = () => u32() * 2 ** 32 + u32();
  const bytes = () => {
    const length = u32();
    if (at + length > packet.length) throw new Error('a short packet');
    at += length;
    return packet.subarray(at - length, at);
  };
  const text = () => bytes().toString('utf8');
  const change = () => {
    const flags = u32();
    // As pkg/sftp up to 1.13.6 does: it takes combined kinds for something else than was meant.
    if (![0, 1, 2, 4, 8].includes(flags)) throw new Error(`combined attributes ${flags}`);
    if (flags === 1) return { size: u64() };
    if (flags === 2) return { uid: u32(), gid: u32() };
    return flags === 4 ? { mode: u32() } : {};
  };
  const op = OPS[type];
  const base = { id, path: '', to: '', handle: '', flags: 0, offset: 0, data: EMPTY, change: {} };
  switch (op) {
    case 'init':
      return { ...base, op };
    case 'open':
      return { ...base, op, path: text(), flags: u32() };
    case 'lstat':
    case 'stat':
    case 'readlink':
    case 'remove':
    case 'mkdir':
    case 'rmdir':
    case 'opendir':
      return { ...base, op, path: text() };
    case 'symlink':
      // The target comes first, as with OpenSSH.
      return { ...base, op, to: text(), path: text() };
    case 'setstat':
      return { ...base, op, path: text(), change: change() };
    case 'close':
    case 'fstat':
    case 'readdir':
      return { ...base, op, handle: text() };
    case 'fsetstat':
      return { ...base, op, handle: text(), change: change() };
    case 'write':
      return { ...base, op, handle: text(), offset: u64(), data: bytes() };
    case 'extended': {
      const name = text();
      if (name === 'posix-rename@openssh.com') return { ...base, op: 'rename', path: text(), to: text() };
      return { ...base, op: `extended ${name}` };
    }
    default:
      throw new Error(`an unknown packet type ${type}`);
  }
}

export function versionAnswer(): Buffer {
  return answer(2, 3, [
    field('posix-rename@openssh.com'),
    field('1'),
    field('statvfs@openssh.com'),
    field('2'),
  ]);
}

export function statusAnswer(id: number, status: number, message: string): Buffer {
  return answer(101, id, [u32(status), field(message), field('')]);
}

export function handleAnswer(id: number, handle: string): Buffer {
  return answer(102, id, [field(handle)]);
}

export function nameAnswer(id: number, ...names: readonly Buffer[]): Buffer {
  return answer(104, id, [u32(names.length), ...names.flatMap((name) => [field(name), field(name), u32(0)])]);
}

export function attributesAnswer(
  id: number,
  { size, uid, gid, mode }: { size: number; uid: number; gid: number; mode: number },
): Buffer {
  const size64 = Buffer.alloc(8);
  size64.writeBigUInt64BE(BigInt(size));
  return answer(105, id, [u32(0x0f), size64, u32(uid), u32(gid), u32(mode), u32(0), u32(0)]);
}

function answer(type: number, id: number, fields: readonly Buffer[]): Buffer {
  const body = Buffer.concat(fields);
  const head = Buffer.alloc(9);
  head.writeUInt32BE(5 + body.length, 0);
  head.writeUInt8(type, 4);
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, body]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

function field(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u32(bytes.length), bytes]);
}
