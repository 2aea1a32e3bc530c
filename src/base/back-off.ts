export type BackOff = {
  readonly minDelayMs: number;
  readonly maxDelayMs: number;
};

/**
 * Milliseconds to wait after attempt number `attempt` (1 for the first) has failed: the minimum doubled for each
 * further attempt up to the maximum, of which the upper half is random ("equal jitter"), so that many jobs that
 * failed together do not return together. `random` gives numbers in [0, 1).
 */
export function backOffDelayMs(
  attempt: number,
  { minDelayMs, maxDelayMs }: BackOff,
  random: () => number,
): number {
  const ceiling = Math.min(maxDelayMs, minDelayMs * 2 ** Math.min(Math.max(attempt, 1) - 1, 52));
  return Math.round(ceiling / 2 + (ceiling / 2) * random());
}
