/** Spool, queue, routes and server as the daemon joins them, in this process, on a unix socket and on TCP. */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ErrorCode } from '../../src/errors.ts';
import { type App, createApp } from '../../src/http/app.ts';
import type { AppContext, AuditedRequest, UploadLimits } from '../../src/http/app-context.ts';
import type { Access } from '../../src/http/authenticate.ts';
import { HttpStats } from '../../src/http/http-stats.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { Queue } from '../../src/queue/queue.ts';
import type { QueueOptions } from '../../src/queue/queue-options.ts';
import { Spool, type SpoolOptions } from '../../src/spool/spool.ts';
import { TokenKeeper } from '../../src/spool/token-keeper.ts';
import { MemoryTarget } from './memory-target.ts';

export type Refusal = {
  readonly peer: string;
  readonly method: string;
  readonly url: string;
  readonly code: ErrorCode;
};

export type Harness = {
  readonly socketPath: string;
  readonly port: number;
  readonly stateDir: string;
  readonly target: MemoryTarget;
  readonly context: AppContext;
  readonly app: App;
  readonly servers: readonly Server[];
  /** Every request that was refused, as the log would be told. */
  readonly refusals: Refusal[];
  /** Everything that was done to a job, as the audit log would be told. */
  readonly audits: AuditedRequest[];
  /** Names in the spool's directory of payload files. */
  payloadFiles(): string[];
  /** What the disk still has for sale, reservations taken off. */
  reservedBytes(): number;
  close(): Promise<void>;
};

export type HarnessOptions = {
  readonly limits?: Partial<UploadLimits>;
  readonly queue?: Partial<QueueOptions>;
  readonly spool?: Partial<SpoolOptions>;
  /** Of the TCP listener. */
  readonly tcpAccess?: Access;
  /** A state directory of an earlier harness, which is then not removed. */
  readonly stateDir?: string;
};

export async function openHarness(options: HarnessOptions = {}): Promise<Harness> {
  const directory = mkdtempSync(join(tmpdir(), 'incus-upload-http-'));
  const stateDir = options.stateDir ?? join(directory, 'state');
  const nowMs = (): number => Date.now();
  const spool = await Spool.open({
    stateDir,
    minFreeSpaceBytes: 0,
    maxAttempts: 3,
    lingerMs: 0,
    bootId: 'test',
    nowMs,
    onBroken: (error) => {
      throw error;
    },
    ...options.spool,
  });
  const target = new MemoryTarget();
  const quiet = { info: () => undefined, warn: () => undefined };
  const queue = new Queue(spool, target, {
    concurrency: 8,
    instanceConcurrency: 4,
    policy: { minDelayMs: 10, maxDelayMs: 50, slowDelayMs: 50 },
    deliveryTimeoutMs: 10_000,
    nowMs,
    random: Math.random,
    log: quiet,
    ...options.queue,
  });
  const refusals: Refusal[] = [];
  const audits: AuditedRequest[] = [];
  const context: AppContext = {
    spool,
    queue,
    instances: {
      list: (project) => target.instances(project),
      listConfigured: (project) => target.configuredInstances(project),
    },
    stats: new HttpStats(),
    tokens: new TokenKeeper(stateDir, nowMs, () => undefined),
    version: '0.0.0-test',
    target: 'memory',
    startedAtMs: nowMs(),
    nowMs,
    limits: {
      maxUploadSizeBytes: null,
      maxQueuedJobs: 100_000,
      maxUploads: 256,
      bodyTimeoutMs: 60_000,
      ...options.limits,
    },
    closing: false,
    draining: false,
    waiting: new Set(),
    onAudit: (about) => audits.push(about),
    onRefused: ({ peer, method, url, error }) => refusals.push({ peer, method, url, code: error.code }),
  };
  const app = createApp(context);
  queue.start();
  const servers = [
    createHttpServer(app, null, () => 'open'),
    createHttpServer(app, null, () => options.tcpAccess ?? 'open'),
  ] as const;
  const socketPath = join(directory, 'socket');
  servers[0].listen(socketPath);
  servers[1].listen(0, '127.0.0.1');
  await Promise.all(servers.map((server) => server.listening || once(server, 'listening')));
  const bound = servers[1].address();

  return {
    socketPath,
    port: typeof bound === 'object' ? (bound?.port ?? 0) : 0,
    stateDir,
    target,
    context,
    app,
    servers,
    refusals,
    audits,
    payloadFiles: () => readdirSync(join(stateDir, 'payloads')),
    reservedBytes: () => reservedBytes(spool),
    close: async () => {
      app.uploads.stop();
      target.behave('deliver');
      for (const end of [...context.waiting]) end();
      const closed = servers.map((server) => {
        const end = once(server, 'close');
        server.close();
        server.closeAllConnections();
        return end;
      });
      await Promise.all([queue.stop(5000), ...closed]);
      await spool.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** The room that uploads under way have reserved: the largest file that no longer fits tells it. */
function reservedBytes(spool: Spool): number {
  const { disk } = spool;
  const freeBytes = disk.freeBytes();
  let low = 0;
  let high = freeBytes;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (disk.hasRoomFor(middle)) low = middle;
    else high = middle - 1;
  }
  // Others use the disk, too; a new look at it between ours would spoil the sum.
  return disk.freeBytes() === freeBytes ? freeBytes - low : reservedBytes(spool);
}

/** Waits until a condition holds; says what did not come about after ten seconds. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`Did not come about: ${what}`);
    await delay(5);
  }
}
