import { close, constants, open } from 'node:fs';
import { promisify } from 'node:util';
import { DIRECT_LEAST_BYTES } from '../base/direct-io.ts';
import { CodedError, systemCode } from '../errors.ts';
import { encodeJobId } from '../protocol/job-id.ts';
import type { LentBytes } from './payload-blocks.ts';
import type { PayloadWriter } from './payload-writer.ts';
import { type PayloadFiles, readAt } from './read-at.ts';

/** The stored bytes of a job. `read` fills a buffer from an offset on; `close` when done. */
export type StoredPayload = {
  readonly inline: Buffer | undefined;
  readonly expectedBytes?: number | undefined;
  /** Bytes from an offset on that are in memory already, if they are. */
  lend?(offset: number): Promise<LentBytes | undefined>;
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

/** Opens a payload file; `payload_lost` when it is not there. `isShared`: other jobs read it at the same time. */
export async function openPayloadFile(
  path: string,
  { sequence, size, isShared }: { sequence: number; size: number; isShared: boolean },
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
  // Shared ones are read from the disk once, and by the others out of the page cache.
  const isDirect = size >= DIRECT_LEAST_BYTES && !isShared;
  const direct = isDirect
    ? openFile(path, constants.O_RDONLY | constants.O_DIRECT).catch(() => undefined)
    : undefined;
  const files: PayloadFiles = { fd, directFd: await direct };
  return {
    inline: undefined,
    expectedBytes: size,
    read: (buffer, offset) => readAt(files, buffer, offset),
    committed: Promise.resolve(size),
    close: async () => {
      await closeFile(fd);
      if (files.directFd !== undefined) await closeFile(files.directFd);
    },
  };
}

/** A sender that pauses longer than this must not keep a connection to the instance open. */
const STALL_MS = 1000;

/**
 * The bytes of an upload while they arrive, out of its file. `committed` is the caller's: it resolves to the size once
 * payload and job are on stable storage. Reading rejects when the upload is given up or stalls.
 */
export function createGrowingPayload(writer: PayloadWriter, committed: Promise<number>): StoredPayload {
  const until = (offset: number): true | Promise<boolean> =>
    writer.readableBytes > offset || writer.untilMoreThan(offset, STALL_MS);
  return {
    inline: undefined,
    expectedBytes: writer.expectedBytes,
    lend: async (offset) => {
      await until(offset);
      return writer.lend(offset);
    },
    read: async (buffer, offset) => ((await until(offset)) ? writer.read(buffer, offset) : 0),
    committed,
    close: () => Promise.resolve(),
  };
}
