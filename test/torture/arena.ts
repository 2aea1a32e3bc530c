import type { Fault } from './fault.ts';
import type { Place } from './place.ts';

export type TargetKind = 'dir' | 'fake' | 'incus';

/** What one daemon delivers into, made for a run. */
export type Arena = {
  readonly kind: TargetKind;
  /** For `--target`. */
  readonly targetUrl: string;
  readonly places: readonly Place[];
  readonly faults: readonly Fault[];
  /** Directories of this machine below which no temporary file may be left in the end. */
  readonly roots: readonly string[];
  /** An instance that goes away as a whole and comes back with what it held, and when it went last. */
  readonly vanishing?: { readonly root: string; wentAtMs(): number };
  /** Removes everything; what is inside `directory` may stay. */
  close(): Promise<void>;
};
