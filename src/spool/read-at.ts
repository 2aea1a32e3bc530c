import { read } from 'node:fs';
import { isWholePages, PAGE_BYTES } from '../base/direct-io.ts';
import { Turns } from '../base/turns.ts';
import { systemCode } from '../errors.ts';

/** One file, opened as usual and, if it can be, past the page cache as well. */
export type PayloadFiles = { readonly fd: number; readonly directFd: number | undefined };

/** The disk is busy with as many; more would stand in its queue before the syncs of uploads that wait for their answer. */
const diskReads = new Turns(2);

/**
 * Fills `buffer` from `offset` on; resolves to the bytes read. What was written past the page cache is not in it, and is
 * not wanted there: whole pages are read past it too, so that fewer bytes may come than asked, though never none.
 */
export async function readAt(
  { fd, directFd }: PayloadFiles,
  buffer: Buffer,
  offset: number,
): Promise<number> {
  const pages = buffer.length - (buffer.length % PAGE_BYTES);
  if (directFd === undefined || pages === 0 || !isWholePages(offset)) return readOnce(fd, buffer, offset);
  try {
    return await diskReads.run(() => readOnce(directFd, buffer.subarray(0, pages), offset));
  } catch (error) {
    // The file system asks for more alignment than that.
    if (systemCode(error) !== 'EINVAL') throw error;
    return readOnce(fd, buffer, offset);
  }
}

/** One positioned read; no promise per chunk beyond this one. */
function readOnce(fd: number, buffer: Buffer, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, buffer.length, offset, (error, bytes) =>
      error === null ? resolve(bytes) : reject(error),
    );
  });
}
