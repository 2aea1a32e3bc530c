import type { RetryPolicy } from './outcome-record.ts';

export type QueueLog = {
  readonly info: (about: object, message: string) => void;
  readonly warn: (about: object, message: string) => void;
};

export type QueueOptions = {
  /** Deliveries at once, over all instances. */
  readonly concurrency: number;
  /** Deliveries at once on one instance; a bundle of small files is one. */
  readonly instanceConcurrency: number;
  readonly policy: RetryPolicy;
  readonly deliveryTimeoutMs: number;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly log: QueueLog;
};
