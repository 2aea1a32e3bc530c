/** Deliveries and payloads for tests. */
import { createInlineSource, type PayloadSource } from '../../src/delivery/payload-source.ts';
import type { Delivery } from '../../src/delivery/target.ts';

export const TEMPORARY_PREFIX = '.test-temporary-';

let serial = 0;

/** A delivery of one byte to `c1:/opt/file` with every member replaceable. */
export function createDelivery(changes: Partial<Delivery> = {}): Delivery {
  serial += 1;
  return {
    instance: 'c1',
    project: 'default',
    path: '/opt/file',
    sourceName: '',
    mode: 0o644,
    uid: 0,
    gid: 0,
    createDirs: true,
    payload: createInlineSource(Buffer.from('x')),
    temporaryName: `${TEMPORARY_PREFIX}${process.pid}-${serial}`,
    onTemporary: async () => {},
    onProgress: () => {},
    timeoutMs: 30_000,
    signal: new AbortController().signal,
    ...changes,
  };
}

/** A payload that is read piece by piece, as one from a file is. */
export function createReadSource(bytes: Buffer, changes: Partial<PayloadSource> = {}): PayloadSource {
  return { ...createInlineSource(bytes), inline: undefined, ...changes };
}

/** Bytes that differ at each place, so that a piece in the wrong place is seen. */
export function patternBytes(size: number, seed = 1): Buffer<ArrayBuffer> {
  const bytes = Buffer.allocUnsafe(size);
  let state = seed;
  for (let at = 0; at < size; at += 1) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    bytes[at] = state >>> 16;
  }
  return bytes;
}

/** Waits until a condition holds; rejects after ten seconds, naming it. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const endsAt = Date.now() + 10_000;
  while (!(await holds())) {
    if (Date.now() > endsAt) throw new Error(`Waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A promise and the means to settle it. */
export function createGate<T = void>() {
  let open: (value: T) => void = () => {};
  let fail: (error: unknown) => void = () => {};
  const promise = new Promise<T>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  promise.catch(() => {});
  return { promise, open, fail };
}
