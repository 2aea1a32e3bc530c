/**
 * The journal's log: two files of a fixed size, of which one is written from its beginning to its end while lmdb is brought
 * up to date with the other. Owns both. A record is on stable storage when `append` resolves: one write into blocks that
 * are there already, through to the disk (O_DSYNC), where a commit of lmdb needs pages all over its file and two waits.
 *
 * A record, at a multiple of 4096 bytes so that no write ever touches one that is on the disk already:
 *   salt (16 bytes), bytes of its body (4), CRC-32 of all else (4), its number (a double), body
 * The salt is drawn anew for every start and kept by the journal. What lies in the files from before has another one, and
 * nobody who sends a payload can know it: the bytes of a payload, which stand in the log too, are never taken for a record.
 * Numbers count up without gaps over both files. After a crash the records are those with the salt and a right checksum:
 * what was being written is whole or counts as not there.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, existsSync, openSync, readFileSync, write, writeFileSync } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { encodeOperations, type Operation } from './journal-operation.ts';
import { syncPath } from './sync-path.ts';
import { writeZeros } from './write-zeros.ts';

const FILE_BYTES = 4 << 20;
/** What would be longer is not worth the second time it would have to be written. */
const MOST_RECORD_BYTES = 512 << 10;
const BLOCK_BYTES = 4096;
const SALT_BYTES = 16;
const LENGTH_AT = 16;
const CHECKSUM_AT = 20;
const NUMBER_AT = 24;
const BODY_AT = 32;

export type LogRecord = { readonly number: number; readonly body: Buffer };

export class WriteAheadLog {
  readonly #files: readonly [number, number];
  /** Only one record is under way at a time. */
  readonly #record = Buffer.allocUnsafeSlow(MOST_RECORD_BYTES);
  #length = 0;
  #active: 0 | 1 = 0;
  #position = 0;

  private constructor(files: readonly [number, number], salt: Buffer) {
    this.#files = files;
    this.#record.set(salt);
  }

  static drawSalt(): Buffer {
    return randomBytes(SALT_BYTES);
  }

  /** What the files of a log hold that was opened with the salt, by number; nothing when there are none. */
  static read(directory: string, salt: Buffer): LogRecord[] {
    const records = logPaths(directory).flatMap((path) => (existsSync(path) ? readRecords(path, salt) : []));
    return records.sort((a, b) => a.number - b.number);
  }

  /** Makes the files where they are missing or short, and starts over in them; rejects on a full disk. */
  static async open(directory: string, salt: Buffer): Promise<WriteAheadLog> {
    const [first, second] = logPaths(directory);
    await makeFile(first);
    await makeFile(second);
    await syncPath(directory);
    const flags = constants.O_RDWR | constants.O_DSYNC;
    return new WriteAheadLog([openSync(first, flags), openSync(second, flags)], salt);
  }

  /** Makes a record of operations; false when it is too long for the log. */
  prepare(number: number, operations: readonly Operation[]): boolean {
    const record = this.#record;
    this.#length = encodeOperations(operations, record, BODY_AT);
    if (this.#length === -1) return false;
    record.writeUInt32LE(this.#length - BODY_AT, LENGTH_AT);
    record.writeDoubleLE(number, NUMBER_AT);
    record.writeUInt32LE(checksumOf(record.subarray(0, this.#length)), CHECKSUM_AT);
    return true;
  }

  /** Whether the record fits into what is left of the file. */
  get hasRoom(): boolean {
    return this.#position + this.#length <= FILE_BYTES;
  }

  /** The part of the file that is written. */
  get fill(): number {
    return this.#position / FILE_BYTES;
  }

  /** Resolves once the record is on stable storage; when it rejects it may be there or not. */
  async append(): Promise<void> {
    const fd = this.#files[this.#active];
    for (let done = 0; done < this.#length; ) {
      done += await writeAt(fd, this.#record, done, this.#length - done, this.#position + done);
    }
    this.#position += Math.ceil(this.#length / BLOCK_BYTES) * BLOCK_BYTES;
  }

  /** Goes on at the beginning of the other file: lmdb must have what that one holds. */
  turn(): void {
    this.#active = this.#active === 0 ? 1 : 0;
    this.#position = 0;
  }

  close(): void {
    for (const fd of this.#files) closeSync(fd);
  }
}

function logPaths(directory: string): readonly [string, string] {
  return [join(directory, 'log-0'), join(directory, 'log-1')];
}

async function makeFile(path: string): Promise<void> {
  if (!existsSync(path)) writeFileSync(path, '', { mode: 0o600 });
  const { size } = await stat(path);
  if (size >= FILE_BYTES) return;
  const { bavail, bsize } = await statfs(path);
  if (bavail * bsize < FILE_BYTES) throw new NoRoom();
  await writeZeros(path, size, FILE_BYTES - size);
}

function writeAt(
  fd: number,
  from: Buffer,
  offset: number,
  length: number,
  position: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, from, offset, length, position, (error, written) => {
      if (error === null) resolve(written);
      else reject(error);
    });
  });
}

function checksumOf(record: Buffer): number {
  return crc32(record.subarray(NUMBER_AT), crc32(record.subarray(0, CHECKSUM_AT)));
}

class NoRoom extends Error {
  readonly code = 'ENOSPC';

  constructor() {
    super('There is no room for the log');
  }
}

/** Also those behind one that is not whole: only damage to the disk leaves such, and must not be taken for the end. */
function readRecords(path: string, salt: Buffer): LogRecord[] {
  const bytes = readFileSync(path);
  const records: LogRecord[] = [];
  for (let at = 0; at + BODY_AT <= bytes.length; at += BLOCK_BYTES) {
    if (salt.compare(bytes, at, at + SALT_BYTES) !== 0) continue;
    const end = at + BODY_AT + bytes.readUInt32LE(at + LENGTH_AT);
    if (end > bytes.length) continue;
    const record = bytes.subarray(at, end);
    if (checksumOf(record) !== record.readUInt32LE(CHECKSUM_AT)) continue;
    records.push({ number: record.readDoubleLE(NUMBER_AT), body: record.subarray(BODY_AT) });
  }
  return records;
}
