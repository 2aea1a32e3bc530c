/**
 * Bodies arrive in buffers of 64 KiB, each garbage as soon as it is written. To V8 they are small objects, so it lets
 * some 40 MiB of them gather. To collect the young ones every few MiB costs about 25 ms a GiB and takes 25 MiB off the
 * peak of the memory.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const COLLECT_BYTES = 4 << 20;

type CollectGarbage = (options: { readonly type: 'minor' }) => void;

let collect: CollectGarbage | undefined;
/** Of all uploads together: they share the heap. */
let uncollectedBytes = 0;

/** A piece of a body has come. */
export function countForGarbage(bytes: number): void {
  uncollectedBytes += bytes;
  if (uncollectedBytes < COLLECT_BYTES) return;
  uncollectedBytes = 0;
  collect ??= exposeCollector();
  collect({ type: 'minor' });
}

/** Node has no call for it; V8 puts one into every context that is made under this flag. */
function exposeCollector(): CollectGarbage {
  setFlagsFromString('--expose-gc');
  const exposed: unknown = runInNewContext('globalThis.gc');
  setFlagsFromString('--no-expose-gc');
  return typeof exposed === 'function' ? (options) => exposed(options) : () => undefined;
}
