/** The composition root: joins spool, queue, target and listeners, and ends them in the reverse order. */
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { ReleaseStack } from '../base/release-stack.ts';
import { openTarget } from '../delivery/open-target.ts';
import { CodedError, ERRORS, messageOf } from '../errors.ts';
import { type App, createApp } from '../http/app.ts';
import type { AppContext } from '../http/app-context.ts';
import { HttpStats } from '../http/http-stats.ts';
import { Queue } from '../queue/queue.ts';
import { proveJournal } from '../spool/run-note.ts';
import { Spool } from '../spool/spool.ts';
import { TokenKeeper } from '../spool/token-keeper.ts';
import { auditJobs, auditRequest } from './audit.ts';
import type { Config } from './config.ts';
import { type Listening, openListeners } from './listeners.ts';
import { type Log, openLog } from './log.ts';
import { formatQueueStatus } from './queue-status.ts';
import { createReload, limitsOf } from './reload.ts';
import { Retention } from './retention.ts';
import { ServiceReports } from './service-reports.ts';
import { readVersion } from './version.ts';

export type ServeOptions = {
  readonly config: Config;
  /** Reads the configuration again, for SIGHUP. */
  readonly reload: () => Promise<Config>;
};

const SAME_SIGNAL_MS = 50;

/** EX_IOERR of sysexits(3). */
const EXIT_BROKEN_STORAGE = 74;
/** A daemon that stops and whose socket is handed on still takes what comes on its connections, until nothing does. */
const HAND_OVER_QUIET_MS = 300;
const HAND_OVER_LIMIT_MS = 3000;

const nowMs = (): number => Date.now();

/** Runs the daemon until a signal ends it; resolves to the exit status. */
export async function serve({ config, reload }: ServeOptions): Promise<number> {
  const log = openLog({ level: config.logLevel, format: config.logFormat });
  const stack = new ReleaseStack();
  // A reader of standard error that went away must not end a daemon.
  process.stderr.on('error', () => undefined);
  const signals = listenForSignals();
  try {
    const { context, app, queue } = await open(config, log, stack);
    const listening = await openListeners(config, app, log);
    // Senders need not wait until deliveries are under way.
    queue.start();
    void queue.circuit.ask();
    stack.defer(() => app.uploads.stop());
    const isClosed = listening.some(({ access }) => access === 'closed') && config.tlsClientCa === null;
    if (isClosed && context.tokens.size === 0)
      log.warn({}, 'there is no token, so nobody can use TCP; make one with incus-uploadd token add NAME');
    const reports = openReports(context, log);
    stack.defer(() => reports.stop());
    await reports.ready();
    // V8's own; the launcher kept it down.
    setFlagsFromString('--semi-space-growth-factor=2');

    const onHangup = createReload({ config, reload, context, listening, log });
    process.on('SIGHUP', onHangup);
    const signal = await signals.first;
    process.off('SIGHUP', onHangup);
    log.info({ signal }, 'stopping: finishing bodies and attempts under way');
    reports.stopping();
    const orderly = stop(config.shutdownGraceMs, context, app, queue, listening, stack);
    const inTime = await Promise.race([orderly.then(() => true), signals.second.then(() => false)]);
    log.info(
      {},
      inTime ? 'stopped' : 'stopped at once by a second signal; what is unfinished goes on at the next start',
    );
    return 0;
  } catch (error) {
    await stack.release().catch(() => undefined);
    if (error instanceof CodedError) throw error;
    log.fatal({ error: messageOf(error) }, 'cannot start');
    return ERRORS.internal.exit;
  }
}

async function open(
  config: Config,
  log: Log,
  stack: ReleaseStack,
): Promise<{ context: AppContext; app: App; queue: Queue }> {
  const spool = await Spool.open({
    stateDir: config.stateDir,
    minFreeSpaceBytes: config.minFreeSpaceBytes,
    maxAttempts: config.maxAttempts,
    lingerMs: config.lingerMs,
    bootId: readBootId(),
    nowMs,
    onBroken: (error) => {
      log.fatal(
        { error: error.message },
        'the storage of the state directory fails; ending at once, nothing more is accepted',
      );
      process.exit(EXIT_BROKEN_STORAGE);
    },
  });
  stack.defer(() => spool.close());
  const target = openTarget(config.target, {
    ...(config.targetCert === null ? {} : { clientCert: config.targetCert }),
    ...(config.targetKey === null ? {} : { clientKey: config.targetKey }),
    ...(config.targetServerCert === null ? {} : { serverCert: config.targetServerCert }),
    onNote: (note) => log.info({ note }, 'about the target'),
  });
  stack.defer(() => target.close());
  const queue = new Queue(spool, target, {
    concurrency: config.concurrency,
    instanceConcurrency: config.instanceConcurrency,
    policy: {
      minDelayMs: config.retryMinDelayMs,
      maxDelayMs: config.retryMaxDelayMs,
      slowDelayMs: config.slowRetryDelayMs,
    },
    deliveryTimeoutMs: config.deliveryTimeoutMs,
    nowMs,
    random: Math.random,
    log,
  });
  const retention = new Retention(spool, { retentionMs: config.retentionMs, nowMs, log });
  stack.defer(() => retention.stop());
  const context: AppContext = {
    spool,
    queue,
    instances: {
      list: (project) => target.instances(project),
      listConfigured: (project) => target.configuredInstances(project),
    },
    stats: new HttpStats(),
    tokens: new TokenKeeper(config.stateDir, nowMs, (problem) => log.error({ problem }, 'token not valid')),
    version: readVersion(),
    target: target.description,
    startedAtMs: nowMs(),
    nowMs,
    limits: limitsOf(config),
    closing: false,
    draining: false,
    waiting: new Set(),
    onRefused: ({ peer, method, url, error }) =>
      log.warn({ peer, method, url: url.slice(0, 200), code: error.code, reason: error.message }, 'refused'),
    onAudit: (about) => auditRequest(log, about),
  };
  log.info({ target: target.description, jobs: spool.live.size, state_dir: config.stateDir }, 'recovered');
  auditJobs(queue, log);
  stack.defer(
    target.watch((event) => {
      if (event.kind === 'target') void queue.circuit.ask();
      else queue.wake(event.project, event.instance);
    }),
  );
  return { context, app: createApp(context), queue };
}

function openReports({ spool, queue }: AppContext, log: Log): ServiceReports {
  return new ServiceReports({
    env: process.env,
    pid: process.pid,
    status: () => formatQueueStatus(queue.active.counts(), queue.circuit.reason),
    prove: () => proveJournal(spool.journal, nowMs()),
    onError: (problem) => log.warn({ problem }, 'cannot tell systemd'),
  });
}

async function stop(
  graceMs: number,
  context: AppContext,
  app: App,
  queue: Queue,
  listening: readonly Listening[],
  stack: ReleaseStack,
): Promise<void> {
  const endsAtMs = performance.now() + graceMs;
  context.closing = true;
  queue.pause();
  const closed = listening.map(({ listener }) => listener.close());
  for (const end of [...context.waiting]) end();
  const grace = setTimeout(() => {
    for (const { server } of listening) server.closeAllConnections();
  }, graceMs);
  // Where systemd keeps the socket nobody shall notice a restart: what was on its way to this daemon is still taken.
  if (listening.some(({ isPassed }) => isPassed))
    await app.connections.untilUnused(HAND_OVER_QUIET_MS, HAND_OVER_LIMIT_MS);
  context.draining = true;
  // Bodies first: an upload whose body ends in time is still accepted, and stays queued.
  await app.connections.untilQuiet();
  app.connections.endIdle();
  await Promise.all(closed);
  clearTimeout(grace);
  await queue.stop(Math.max(0, endsAtMs - performance.now()));
  await stack.release();
}

function listenForSignals(): { first: Promise<NodeJS.Signals>; second: Promise<NodeJS.Signals> } {
  let count = 0;
  let firstAtMs = 0;
  let onFirst: (signal: NodeJS.Signals) => void = () => undefined;
  let onSecond: (signal: NodeJS.Signals) => void = () => undefined;
  const first = new Promise<NodeJS.Signals>((resolve) => {
    onFirst = resolve;
  });
  const second = new Promise<NodeJS.Signals>((resolve) => {
    onSecond = resolve;
  });
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, (signal) => {
      // `timeout` and terminals signal the process and its group at once: that is one signal, not two.
      if (count > 0 && performance.now() - firstAtMs < SAME_SIGNAL_MS) return;
      count += 1;
      firstAtMs = performance.now();
      if (count === 1) onFirst(signal);
      else onSecond(signal);
    });
  }
  return { first, second };
}

/** Changes with every start of the machine. */
function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
