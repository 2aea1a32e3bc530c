/** What lmdb may write for a commit, at most: so much room has to be there before. */

export type Load = {
  /** Changes of jobs, or what is like them. */
  readonly fills: number;
  /** Bytes beyond a record and its entries: payloads. */
  readonly bytes: number;
};

export const NO_LOAD: Load = { fills: 0, bytes: 0 };

/** For a commit as such: branches down to the leaves, and its list of free pages. */
export const COMMIT_BYTES = 256 << 10;
/** For one `fill`: a few pages in each of a job's tables. */
const FILL_BYTES = 32 << 10;
/** For each after the first ones: most of its entries have neighbours among theirs. */
const NEIGHBOUR_BYTES = 12 << 10;
const FIRST_ONES = 64;

export function sumOf(a: Load, b: Load): Load {
  return { fills: a.fills + b.fills, bytes: a.bytes + b.bytes };
}

export function costOf({ fills, bytes }: Load): number {
  const first = Math.min(fills, FIRST_ONES);
  return COMMIT_BYTES + first * FILL_BYTES + (fills - first) * NEIGHBOUR_BYTES + bytes;
}
