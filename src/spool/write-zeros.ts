/** Makes files longer by bytes that are on the disk already. */
import { open } from 'node:fs/promises';

const MIB = 1 << 20;

/**
 * Not by fallocate(1): Node has no call for it, to start a process holds up everything for milliseconds, and the first
 * write into what it allocates costs the file system a commit of its own. What a full disk cuts short is given back.
 */
export async function writeZeros(path: string, offsetBytes: number, lengthBytes: number): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    const zeros = Buffer.alloc(Math.min(MIB, lengthBytes));
    for (let done = 0; done < lengthBytes; ) {
      const { bytesWritten } = await handle.write(
        zeros,
        0,
        Math.min(zeros.length, lengthBytes - done),
        offsetBytes + done,
      );
      done += bytesWritten;
    }
    await handle.datasync();
  } catch (error) {
    await handle.truncate(offsetBytes).catch(() => undefined);
    throw error;
  } finally {
    await handle.close();
  }
}
