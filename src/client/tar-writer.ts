/**
 * Entries of a tar archive in the format of POSIX.1-2017 (ustar, with pax records where its fields are too short). Owner
 * and group are left 0: who owns the files is said beside the archive.
 */

export type TarEntry = {
  /** Relative; that of a directory ends in `/`. */
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'symlink';
  readonly mode: number;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  /** Of a symbolic link. */
  readonly target: string;
};

const BLOCK_BYTES = 512;
const NAME_BYTES = 100;
const PREFIX_BYTES = 155;
const CHECKSUM_AT = 148;
const MAX_SIZE = 8 ** 11 - 1;
const TYPES = { file: '0', symlink: '2', directory: '5' } as const;
const SLASH = 0x2f;

/** Two blocks of zeros end an archive. */
export const TAR_END_BYTES = 2 * BLOCK_BYTES;

/** Bytes that a file's content takes, filled up to whole blocks. */
export function paddedBytes(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
}

/** Bytes that {@link writeTarHead} writes for an entry. */
export function tarHeadBytes(entry: TarEntry): number {
  const records = paxRecords(entry);
  return records === '' ? BLOCK_BYTES : 2 * BLOCK_BYTES + paddedBytes(Buffer.byteLength(records));
}

/** Writes what stands before an entry's content; returns the offset behind it. */
export function writeTarHead(entry: TarEntry, buffer: Buffer, offset: number): number {
  const records = paxRecords(entry);
  let at = offset;
  if (records !== '') {
    const sizeBytes = Buffer.byteLength(records);
    const header = { name: 'pax_header', mode: 0o644, sizeBytes, mtimeMs: 0, target: '' };
    at = writeHeader(header, 'x', buffer, at);
    buffer.fill(0, at, at + paddedBytes(sizeBytes));
    buffer.write(records, at);
    at += paddedBytes(sizeBytes);
  }
  return writeHeader(entry, TYPES[entry.kind], buffer, at);
}

/** Whether a block of 512 bytes can begin an archive: a header with a right checksum, or the zeros of an empty one. */
export function isTarBlock(block: Buffer): boolean {
  if (block.length < BLOCK_BYTES) return false;
  const text = block.toString('latin1', CHECKSUM_AT, CHECKSUM_AT + 8);
  const sum = /^ *([0-7]+)[\0 ]/.exec(text)?.[1];
  if (sum !== undefined) return Number.parseInt(sum, 8) === checksum(block, 0);
  return block.subarray(0, BLOCK_BYTES).every((byte) => byte === 0);
}

type Header = Omit<TarEntry, 'kind'>;

function writeHeader(entry: Header, type: string, buffer: Buffer, at: number): number {
  buffer.fill(0, at, at + BLOCK_BYTES);
  const name = Buffer.from(entry.name);
  const split = splitAt(name) ?? 0;
  name.copy(buffer, at, split === 0 ? 0 : split + 1, (split === 0 ? 0 : split + 1) + NAME_BYTES);
  buffer.write(octal(entry.mode, 7), at + 100);
  buffer.write('0000000\0' + '0000000\0', at + 108);
  buffer.write(octal(entry.sizeBytes > MAX_SIZE ? 0 : entry.sizeBytes, 11), at + 124);
  const mtime = Math.min(MAX_SIZE, Math.max(0, Math.floor(entry.mtimeMs / 1000)));
  buffer.write(octal(mtime, 11), at + 136);
  buffer.write(type, at + 156);
  Buffer.from(entry.target).copy(buffer, at + 157, 0, NAME_BYTES);
  buffer.write('ustar\u000000', at + 257);
  name.copy(buffer, at + 345, 0, split);
  buffer.write(`${octal(checksum(buffer, at), 6)}\0 `, at + CHECKSUM_AT);
  return at + BLOCK_BYTES;
}

/** The sum of a header's bytes, those of the sum itself counted as blanks. */
function checksum(buffer: Buffer, at: number): number {
  let sum = 8 * 0x20;
  for (let i = at; i < at + BLOCK_BYTES; i += 1) sum += buffer[i] ?? 0;
  for (let i = at + CHECKSUM_AT; i < at + CHECKSUM_AT + 8; i += 1) sum -= buffer[i] ?? 0;
  return sum;
}

/** Where a name is divided into prefix and name: 0 when it need not be, undefined when it cannot be. */
function splitAt(name: Buffer): number | undefined {
  if (name.length <= NAME_BYTES) return 0;
  const at = name.indexOf(SLASH, name.length - NAME_BYTES - 1);
  return at > 0 && at <= PREFIX_BYTES && at < name.length - 1 ? at : undefined;
}

function paxRecords(entry: TarEntry): string {
  let records = '';
  // No name of so few characters is too long, however many bytes each of them takes.
  if (entry.name.length * 3 > NAME_BYTES && splitAt(Buffer.from(entry.name)) === undefined) {
    records += paxRecord('path', entry.name);
  }
  if (Buffer.byteLength(entry.target) > NAME_BYTES) records += paxRecord('linkpath', entry.target);
  if (entry.sizeBytes > MAX_SIZE) records += paxRecord('size', String(entry.sizeBytes));
  return records;
}

/** `LENGTH KEY=VALUE\n`, where the length counts its own digits too. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const restBytes = Buffer.byteLength(rest);
  let length = restBytes + String(restBytes).length;
  if (String(length).length > String(restBytes).length) length = restBytes + String(length).length;
  return `${length}${rest}`;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}
