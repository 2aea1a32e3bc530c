/** What must be whole pages of files and memory in direct I/O: the largest unit that common disks and file systems ask for. */
export const PAGE_BYTES = 4096;

/**
 * From this size on a file is written past the page cache (open(2), O_DIRECT): it costs a fraction of the processor's
 * time and leaves the memory to others. Smaller ones are soon read again.
 */
export const DIRECT_LEAST_BYTES = 16 << 20;

export function isWholePages(...bytes: readonly number[]): boolean {
  return bytes.every((one) => one % PAGE_BYTES === 0);
}
