/** Numbers over the runs of one thing. All of them want at least one value. */

export type Summary = { readonly median: number; readonly min: number; readonly max: number };

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  if (upper === undefined) throw new RangeError('Cannot take the median of no values');
  const lower = sorted[(sorted.length - 1) >> 1] ?? upper;
  return (lower + upper) / 2;
}

export function summarize(values: readonly number[]): Summary {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** Run by run: the value of ours over the peer's of the same run. Runs that only one of them has are left out. */
export function ratiosByRun(ours: readonly number[], peer: readonly number[]): number[] {
  const runs = Math.min(ours.length, peer.length);
  return Array.from({ length: runs }, (_, run) => (ours[run] ?? Number.NaN) / (peer[run] ?? Number.NaN));
}

/** What a figure has to be. */
export type Bound = { readonly is: '>=' | '<='; readonly value: number };

export function meets(value: number, bound: Bound): boolean {
  return bound.is === '>=' ? value >= bound.value : value <= bound.value;
}
