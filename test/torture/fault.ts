/** Faults around the daemon, and the record of when which of them was on. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ErrorCode } from '../../src/errors.ts';
import type { Breaches } from './breaches.ts';
import type { Random } from './random.ts';

export type Fault = {
  readonly name: string;
  /** What a job may truly say when this was on. */
  readonly codes: readonly ErrorCode[];
  /** The longest it is kept on. */
  readonly longestMs: number;
  /** Switches it on; resolves to what switches it off. */
  begin(random: Random): Promise<() => Promise<void>>;
};

type Window = {
  readonly name: string;
  readonly codes: readonly ErrorCode[];
  readonly fromMs: number;
  toMs: number;
};

/** A failure may be written down that long after the fault that caused it ended. */
const SLACK_MS = 10_000;

export class FaultRecord {
  readonly #windows: Window[] = [];
  readonly counts: Record<string, number> = {};

  begin(fault: Fault): () => void {
    const window: Window = {
      name: fault.name,
      codes: fault.codes,
      fromMs: Date.now(),
      toMs: Number.POSITIVE_INFINITY,
    };
    this.#windows.push(window);
    this.counts[fault.name] = (this.counts[fault.name] ?? 0) + 1;
    return () => {
      window.toMs = Date.now() + SLACK_MS;
    };
  }

  /** Whether a fault is on, or was within the last ten seconds. */
  isRecent(name: string): boolean {
    return this.#windows.some((window) => window.name === name && window.toMs >= Date.now());
  }

  /** Whether a fault that was on between two times explains a code. */
  explains(code: string, fromMs: number, toMs: number): boolean {
    return this.#windows.some(
      (window) =>
        window.fromMs <= toMs && window.toMs >= fromMs && (window.codes as readonly string[]).includes(code),
    );
  }
}

/** One fault after the other, with pauses, until `stop`; what is on then is switched off. */
export async function runFaults(options: {
  readonly faults: readonly Fault[];
  readonly record: FaultRecord;
  readonly random: Random;
  readonly breaches: Breaches;
  readonly pauseMs: number;
  readonly stop: Promise<void>;
}): Promise<void> {
  const { faults, record, random, breaches, stop } = options;
  let stopped = false;
  void stop.then(() => {
    stopped = true;
  });
  const rest = async (ms: number): Promise<void> => {
    const over = new AbortController();
    await Promise.race([delay(ms, undefined, { signal: over.signal }).catch(() => {}), stop]);
    over.abort();
  };
  if (faults.length === 0) return;
  const deck = random.deck(faults);
  while (!stopped) {
    await rest(random.waitMs(options.pauseMs));
    if (stopped) return;
    const fault = deck.next().value;
    const ended = record.begin(fault);
    try {
      const end = await fault.begin(random);
      await rest(random.int(50, fault.longestMs));
      await end();
    } catch (error) {
      breaches.add(`the torture itself failed at ${fault.name}: ${String(error)}`);
    }
    ended();
  }
}
