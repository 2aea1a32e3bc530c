import { close, open, read } from 'node:fs';
import { promisify } from 'node:util';
import { CodedError, systemCode } from '../errors.ts';
import { encodeJobId } from '../protocol/job-id.ts';
import type { PayloadWriter } from './payload-writer.ts';

/** The stored bytes of a job. `read` fills a buffer from an offset on; `close` when done. */
export type StoredPayload = {
  readonly inline: Buffer | undefined;
  read(buffer: Buffer, offset: number): Promise<number>;
  readonly committed: Promise<number>;
  close(): Promise<void>;
};

export function createInlinePayload(bytes: Buffer): StoredPayload {
  return {
    inline: bytes,
    read: (buffer, offset) => Promise.resolve(bytes.copy(buffer, 0, offset)),
    committed: Promise.resolve(bytes.length),
    close: () => Promise.resolve(),
  };
}

const openFile = promisify(open);
const closeFile = promisify(close);

/** Opens a payload file; `payload_lost` when it is not there. */
export async function openPayloadFile(
  path: string,
  sequence: number,
  sizeBytes: number,
): Promise<StoredPayload> {
  let fd: number;
  try {
    fd = await openFile(path, 'r');
  } catch (cause) {
    if (systemCode(cause) !== 'ENOENT') throw cause;
    throw new CodedError(
      'payload_lost',
      `The payload of job ${encodeJobId(sequence)} is missing from the spool`,
      { cause },
    );
  }
  return {
    inline: undefined,
    read: (buffer, offset) => readAt(fd, buffer, offset),
    committed: Promise.resolve(sizeBytes),
    close: () => closeFile(fd),
  };
}

/** One positioned read; no promise per chunk beyond this one. */
export function readAt(fd: number, buffer: Buffer, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, buffer.length, offset, (error, bytes) =>
      error === null ? resolve(bytes) : reject(error),
    );
  });
}

/** A sender that pauses longer than this must not keep a connection to the instance open. */
const STALL_MS = 1000;

/**
 * The bytes of an upload while they arrive, out of its file. `committed` is the caller's: it resolves to the size once
 * payload and job are on stable storage. Reading rejects when the upload is given up or stalls.
 */
export function createGrowingPayload(writer: PayloadWriter, committed: Promise<number>): StoredPayload {
  return {
    inline: undefined,
    read: async (buffer, offset) => {
      const there = writer.writtenBytes - offset;
      if (there <= 0 && !(await writer.untilMoreThan(offset, STALL_MS))) return 0;
      // Only what a finished write has put there: the file's end may be in the middle of one.
      const bytes = Math.min(buffer.length, writer.writtenBytes - offset);
      return readAt(writer.fd, buffer.subarray(0, bytes), offset);
    },
    committed,
    close: () => Promise.resolve(),
  };
}
