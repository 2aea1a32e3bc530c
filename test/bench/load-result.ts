/** What load/load.c prints. */
import { z } from 'zod';

const times = z.object({ p50: z.number(), p90: z.number(), p99: z.number(), max: z.number() });

const loadResult = z.object({
  requests: z.number(),
  seconds: z.number(),
  per_second: z.number(),
  mib_per_second: z.number(),
  statuses: z.record(z.string(), z.number()),
  latency_ms: times,
  answer_ms: times,
});

export type LoadResult = z.output<typeof loadResult>;

export function decodeLoadResult(text: string): LoadResult {
  return loadResult.parse(JSON.parse(text));
}
