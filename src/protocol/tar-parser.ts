/**
 * Reads a tar archive (ustar, pax, GNU long names) piece by piece as it arrives and tells each entry and where its
 * content stands. It keeps a header at a time, never content. Whatever is not a whole archive throws `bad_request`.
 */
import { CodedError } from '../errors.ts';

export type TarEntryKind = 'file' | 'directory' | 'symlink' | 'hardlink' | 'other';

export type TarEntry = {
  readonly kind: TarEntryKind;
  /** As the archive has it, bytes that need not be UTF-8. */
  readonly name: Buffer;
  /** Of a link. */
  readonly target: Buffer;
  readonly mode: number;
  readonly sizeBytes: number;
  /** Where its content begins, in bytes from the beginning of the archive. */
  readonly offset: number;
};

const BLOCK_BYTES = 512;
/** What stands before an entry to give it long names; far more than any name needs. */
const MAX_EXTENSION_BYTES = 256 * 1024;
const CHECKSUM_AT = 148;

type Extension = { readonly type: string; readonly bytes: Buffer; at: number; readonly padding: number };

type Override = { name?: Buffer; target?: Buffer; sizeBytes?: number };

export class TarParser {
  readonly #onEntry: (entry: TarEntry) => void;
  #offset = 0;
  /** A block that is not whole yet. */
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  #blockBytes = 0;
  /** Content that is still to come, with what fills its last block up. */
  #skipBytes = 0;
  /** An extension that is being collected. */
  #extension: Extension | undefined;
  #override: Override = {};
  #global: Override = {};
  #zeroBlocks = 0;

  constructor(onEntry: (entry: TarEntry) => void) {
    this.#onEntry = onEntry;
  }

  /** Bytes of content that come next and that need not be pushed: a reader may `skip` them. */
  get skippableBytes(): number {
    return this.#skipBytes;
  }

  get offset(): number {
    return this.#offset;
  }

  skip(bytes: number): void {
    this.#skipBytes -= bytes;
    this.#offset += bytes;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      const left = chunk.length - at;
      if (this.#skipBytes > 0) {
        const bytes = Math.min(this.#skipBytes, left);
        this.skip(bytes);
        at += bytes;
        continue;
      }
      const bytes =
        this.#extension === undefined
          ? this.#takeBlock(chunk, at)
          : this.#takeExtension(this.#extension, chunk, at);
      at += bytes;
    }
  }

  /** The archive has ended; throws when something of it is missing. */
  end(): void {
    if (this.#skipBytes > 0 || this.#extension !== undefined || this.#blockBytes > 0 || this.#isExtended())
      throw bad('it ends in the middle of an entry');
    // One block of zeros is what some programs leave it at.
    if (this.#zeroBlocks === 0) throw bad('its end is missing');
  }

  #isExtended(): boolean {
    return Object.keys(this.#override).length > 0;
  }

  #takeBlock(chunk: Buffer, at: number): number {
    const bytes = Math.min(BLOCK_BYTES - this.#blockBytes, chunk.length - at);
    chunk.copy(this.#block, this.#blockBytes, at, at + bytes);
    this.#blockBytes += bytes;
    this.#offset += bytes;
    if (this.#blockBytes < BLOCK_BYTES) return bytes;
    this.#blockBytes = 0;
    this.#readHeader(this.#block);
    return bytes;
  }

  #takeExtension(extension: Extension, chunk: Buffer, at: number): number {
    const bytes = Math.min(extension.bytes.length - extension.at, chunk.length - at);
    chunk.copy(extension.bytes, extension.at, at, at + bytes);
    extension.at += bytes;
    this.#offset += bytes;
    if (extension.at === extension.bytes.length) {
      this.#extension = undefined;
      this.#skipBytes = extension.padding;
      this.#readExtension(extension.type, extension.bytes);
    }
    return bytes;
  }

  #readHeader(block: Buffer): void {
    if (block.every((byte) => byte === 0)) {
      this.#zeroBlocks += 1;
      return;
    }
    if (this.#zeroBlocks >= 2) throw bad('something follows its end');
    if (this.#zeroBlocks === 1) throw bad('an empty block stands between its entries');
    if (readOctal(block, CHECKSUM_AT, 8) !== checksumOf(block)) throw bad('a header has a wrong checksum');
    const type = String.fromCharCode(block[156] || 0x30);
    const sizeBytes = readNumber(block, 124, 12);
    if ('xgLK'.includes(type)) {
      if (sizeBytes > MAX_EXTENSION_BYTES) throw bad('a header is too large');
      if (sizeBytes === 0) return;
      const padding = padded(sizeBytes) - sizeBytes;
      this.#extension = { type, bytes: Buffer.alloc(sizeBytes), at: 0, padding };
      return;
    }
    this.#tell(type, block, sizeBytes);
  }

  #tell(type: string, block: Buffer, headerSize: number): void {
    const override = { ...this.#global, ...this.#override };
    this.#override = {};
    const size = override.sizeBytes ?? headerSize;
    const name = override.name ?? nameOf(block);
    let kind = KINDS[type] ?? 'other';
    // Before POSIX a directory was a file with a final slash.
    if (kind === 'file' && name.at(-1) === 0x2f) kind = 'directory';
    const sizeBytes = kind === 'file' || kind === 'other' ? size : 0;
    this.#skipBytes = padded(sizeBytes);
    this.#onEntry({
      kind,
      name,
      target: override.target ?? field(block, 157, 100),
      mode: readNumber(block, 100, 8) & 0o7777,
      sizeBytes,
      offset: this.#offset,
    });
  }

  #readExtension(type: string, bytes: Buffer): void {
    if (type === 'L') this.#override.name = untilZero(bytes);
    else if (type === 'K') this.#override.target = untilZero(bytes);
    else if (type === 'x') this.#override = { ...this.#override, ...readPax(bytes) };
    else this.#global = { ...this.#global, ...readPax(bytes) };
  }
}

const KINDS: Readonly<Record<string, TarEntryKind>> = {
  '0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '5': 'directory',
};

/** Records of `LENGTH KEY=VALUE\n`, of which those that are not known are no matter. */
function readPax(bytes: Buffer): Override {
  const override: Override = {};
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = /^[0-9]{1,7}$/.exec(space < 0 ? '' : bytes.toString('latin1', at, space))?.[0];
    const end = at + Number(length ?? 0);
    const equals = bytes.indexOf(0x3d, space);
    if (length === undefined || end > bytes.length || equals < 0 || equals >= end || bytes[end - 1] !== 0x0a)
      throw bad('a pax record cannot be read');
    const key = bytes.toString('latin1', space + 1, equals);
    const value = Buffer.from(bytes.subarray(equals + 1, end - 1));
    if (key === 'path') override.name = value;
    else if (key === 'linkpath') override.target = value;
    else if (key === 'size') override.sizeBytes = paxSize(value);
    else if (key.startsWith('GNU.sparse.')) throw bad('it holds a sparse file; make it without --sparse');
    at = end;
  }
  return override;
}

function paxSize(value: Buffer): number {
  const size = /^[0-9]{1,16}$/.test(value.toString('latin1')) ? Number(value.toString('latin1')) : Number.NaN;
  if (!Number.isSafeInteger(size)) throw bad('a size cannot be read');
  return size;
}

function nameOf(block: Buffer): Buffer {
  const name = field(block, 0, 100);
  // GNU's own format, `ustar ` with a space, keeps other things where the prefix is.
  if (block.toString('latin1', 257, 263) !== 'ustar\0') return name;
  const prefix = field(block, 345, 155);
  return prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name]);
}

/** A copy: the block is used again. */
function field(block: Buffer, at: number, length: number): Buffer {
  return Buffer.from(untilZero(block.subarray(at, at + length)));
}

function untilZero(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

function readNumber(block: Buffer, at: number, length: number): number {
  const first = block[at] ?? 0;
  if ((first & 0x80) === 0) return readOctal(block, at, length);
  // GNU's base 256 for what octal digits cannot hold.
  let value = first & 0x7f;
  for (let index = 1; index < length; index += 1) value = value * 256 + (block[at + index] ?? 0);
  if (!Number.isSafeInteger(value)) throw bad('a number is too large');
  return value;
}

function readOctal(block: Buffer, at: number, length: number): number {
  const text = block.toString('latin1', at, at + length);
  const digits = /^ *([0-7]*)(?:[\0 ]|$)/.exec(text)?.[1];
  if (digits === undefined) throw bad('a number cannot be read');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

function checksumOf(block: Buffer): number {
  let sum = 0;
  for (let index = 0; index < BLOCK_BYTES; index += 1)
    sum += index >= CHECKSUM_AT && index < CHECKSUM_AT + 8 ? 0x20 : (block[index] ?? 0);
  return sum;
}

function padded(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

function bad(what: string): CodedError {
  return new CodedError('bad_request', `The body is no whole tar archive: ${what}`);
}
