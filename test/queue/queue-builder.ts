/** Queues for tests: on a real spool in a temporary directory and a target that does as it is told. */
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Job } from '../../src/protocol/job.ts';
import { Queue } from '../../src/queue/queue.ts';
import type { QueueOptions } from '../../src/queue/queue-options.ts';
import type { JobRecord } from '../../src/spool/job-record.ts';
import type { Draft, Spool, SpoolOptions } from '../../src/spool/spool.ts';
import { acceptFile, draft, openSpool, type TestSpool } from '../spool/spool-builder.ts';
import { releaseAfter } from '../support/release-after.ts';
import { SwitchTarget } from './switch-target.ts';

export type TestQueue = {
  readonly target: SwitchTarget;
  readonly test: TestSpool;
  queue: Queue;
  spool: Spool;
  /** Accepts a small file and gives its job to the queue; resolves to its sequence. */
  push(path: string, about?: Partial<Draft> & { bytes?: string }): Promise<number>;
  /** The same by way of a payload file. */
  pushFile(path: string, about?: Partial<Draft> & { bytes?: string }): Promise<number>;
  job(sequence: number): Job;
  /** Resolves when the job is in that state. */
  until(sequence: number, state: Job['state']): Promise<Job>;
  /** Ends this run, in order or as kill -9 would, and starts the next on the same state. */
  restart(how: 'stop' | 'crash'): Promise<void>;
};

export const QUICK = { minDelayMs: 10, maxDelayMs: 50, slowDelayMs: 50 };

export async function openQueue(
  t: TestContext,
  options: Partial<QueueOptions> = {},
  spoolOptions: Partial<SpoolOptions> = {},
): Promise<TestQueue> {
  const target = new SwitchTarget();
  const test = await openSpool(t, { lingerMs: 0, ...spoolOptions });
  const create = (spool: Spool): Queue => {
    const queue = new Queue(spool, target, {
      concurrency: 8,
      instanceConcurrency: 4,
      policy: QUICK,
      deliveryTimeoutMs: 10_000,
      nowMs: Date.now,
      random: Math.random,
      log: { info: () => undefined, warn: () => undefined },
      ...options,
    });
    queue.start();
    return queue;
  };
  const accept = async (record: Promise<JobRecord>): Promise<number> => {
    const accepted = await record;
    made.queue.admitted(accepted);
    return accepted.sequence;
  };
  const made: TestQueue = {
    target,
    test,
    spool: test.spool,
    queue: create(test.spool),
    push: (path, { bytes = path, ...about } = {}) =>
      accept(made.spool.acceptInline(draft({ path, ...about }), Buffer.from(bytes))),
    pushFile: (path, { bytes = path, ...about } = {}) =>
      accept(acceptFile(made.spool, draft({ path, ...about }), Buffer.from(bytes))),
    job: (sequence) => {
      const job = made.queue.find(sequence);
      if (job === undefined) throw new Error(`There is no job ${sequence}`);
      return job;
    },
    until: async (sequence, state) => {
      await eventually(
        () => made.queue.find(sequence)?.state === state,
        () => `job ${sequence} becomes ${state}: ${JSON.stringify(made.queue.find(sequence))}`,
      );
      return made.job(sequence);
    },
    restart: async (how) => {
      const before = made.queue;
      // As far as the state directory goes, what the old run still does after a crash happens elsewhere.
      if (how === 'crash') made.spool = await test.crash();
      await before.stop(how === 'stop' ? 10_000 : 0);
      if (how === 'stop') made.spool = await test.reopen();
      made.queue = create(made.spool);
    },
  };
  releaseAfter(t, () => made.queue.stop(0));
  return made;
}

/** Waits until a condition holds; after half a minute it says what did not come about. */
export async function eventually(condition: () => boolean, what: () => string): Promise<void> {
  const deadlineMs = performance.now() + 30_000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`Did not come about: ${what()}`);
    await delay(2);
  }
}
