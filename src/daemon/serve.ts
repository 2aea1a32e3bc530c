/** The composition root: joins spool, queue, target and listeners, and ends them in the reverse order. */
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { ReleaseStack } from '../base/release-stack.ts';
import { openTarget } from '../delivery/open-target.ts';
import { CodedError, ERRORS, messageOf } from '../errors.ts';
import { type App, createApp } from '../http/app.ts';
import type { AppContext, UploadLimits } from '../http/app-context.ts';
import { HttpStats } from '../http/http-stats.ts';
import { createHttpServer } from '../http/server.ts';
import { Queue } from '../queue/queue.ts';
import { proveJournal } from '../spool/run-note.ts';
import { Spool } from '../spool/spool.ts';
import type { Config } from './config.ts';
import { accessProblem } from './config-checks.ts';
import { readGroupId } from './group.ts';
import { type Listener, openListener, openPassedListener } from './listen.ts';
import { formatListenAddress } from './listen-address.ts';
import { type Log, openLog } from './log.ts';
import { formatQueueStatus } from './queue-status.ts';
import { Retention } from './retention.ts';
import { ServiceReports } from './service-reports.ts';
import { listenFds } from './systemd.ts';
import { readTlsOptions } from './tls-options.ts';
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

type Listening = { readonly server: Server; readonly listener: Listener; readonly isPassed: boolean };

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
    stack.defer(() => app.uploads.stop());
    const reports = openReports(context, log);
    stack.defer(() => reports.stop());
    await reports.ready();

    const onHangup = (): void => void applyReload(reload, context, log);
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
    stats: new HttpStats(),
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
  };
  log.info({ target: target.description, jobs: spool.live.size, state_dir: config.stateDir }, 'recovered');
  logJobs(queue, log);
  stack.defer(
    target.watch((event) => {
      if (event.kind === 'target') void queue.circuit.ask();
      else queue.wake(event.project, event.instance);
    }),
  );
  queue.start();
  void queue.circuit.ask();
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

/** Sockets that systemd passed are used instead of the configured addresses. */
async function openListeners(config: Config, app: App, log: Log): Promise<Listening[]> {
  const tls = await readTlsOptions(config);
  const passed = listenFds(process.env, process.pid);
  const listening: Listening[] = [];
  for (const socket of passed) {
    const kind = socket.name.startsWith('https') ? 'https' : 'http';
    const server = createHttpServer(app, kind === 'https' ? tls : null);
    const listener = await openPassedListener(server, socket, kind, (address) => {
      const problem = accessProblem(address, config.noAuth);
      if (problem !== undefined) throw new CodedError('config_invalid', `listen: ${problem}`);
    });
    listening.push({ server, listener, isPassed: true });
  }
  const groupId = passed.length > 0 ? null : await readGroupId(config.socketGroup);
  for (const address of passed.length > 0 ? [] : config.listen) {
    const server = createHttpServer(app, address.kind === 'https' ? tls : null);
    listening.push({
      server,
      listener: await openListener(server, address, { mode: config.socketMode, groupId }),
      isPassed: false,
    });
  }
  for (const { listener } of listening) {
    log.info({ address: formatListenAddress(listener.address) }, 'listening');
  }
  return listening;
}

async function stop(
  graceMs: number,
  context: AppContext,
  app: App,
  queue: Queue,
  listening: readonly Listening[],
  stack: ReleaseStack,
): Promise<void> {
  const endsAtMs = nowMs() + graceMs;
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
  await queue.stop(Math.max(0, endsAtMs - nowMs()));
  await stack.release();
}

async function applyReload(reload: () => Promise<Config>, context: AppContext, log: Log): Promise<void> {
  try {
    const config = await reload();
    context.limits = limitsOf(config);
    log.level = config.logLevel;
    log.info({}, 'configuration read again');
  } catch (error) {
    log.error({ error: messageOf(error) }, 'cannot read the configuration again, going on with the old one');
  }
}

function limitsOf(config: Config): UploadLimits {
  return {
    maxUploadSizeBytes: config.maxUploadSizeBytes,
    maxQueuedJobs: config.maxQueuedJobs,
    maxUploads: config.maxUploads,
    bodyTimeoutMs: config.bodyTimeoutMs,
  };
}

/** One line for each job that ended, and for each attempt that failed: who, what, where, outcome. */
function logJobs(queue: Queue, log: Log): void {
  queue.feed.watch(({ sequence, state }) => {
    if (state === 'queued' || state === 'delivering') return;
    const job = queue.find(sequence);
    if (job === undefined) return;
    const about = {
      job: job.id,
      instance: job.instance,
      project: job.project,
      path: job.deliveredPath ?? job.path,
      size: job.size,
      attempts: job.attempts,
      submitted_by: job.submittedBy,
    };
    if (job.state === 'delivered' || job.state === 'cancelled') log.info(about, job.state);
    else
      log.warn(
        { ...about, code: job.error?.code, reason: job.error?.message, next_attempt_at: job.nextAttemptAt },
        job.state,
      );
  });
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
      if (count > 0 && nowMs() - firstAtMs < SAME_SIGNAL_MS) return;
      count += 1;
      firstAtMs = nowMs();
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
