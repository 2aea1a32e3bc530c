/** The torture of one daemon with one target, from the first upload to the last check. */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Arena } from './arena.ts';
import { Breaches } from './breaches.ts';
import { Content } from './content.ts';
import { Daemon } from './daemon.ts';
import { diskProblem, mountDisk } from './disk.ts';
import { FaultRecord } from './fault.ts';
import { type Account, FinalChecks } from './final-checks.ts';
import { Ledger } from './ledger.ts';
import type { LivesCount } from './lives.ts';
import { runLoad } from './load.ts';
import type { Options } from './options.ts';
import { Random } from './random.ts';
import { checkState, findTemporaries, runFsck } from './state-checks.ts';
import { MAX_UPLOAD_BYTES, Planner } from './upload-plan.ts';
import { Watcher } from './watcher.ts';

export type TargetResult = {
  readonly kind: Arena['kind'];
  readonly accepted: number;
  /** Of these, with several destinations. */
  readonly batches: number;
  readonly archives: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly unanswered: number;
  readonly cut: number;
  readonly account: Account | undefined;
  readonly lives: LivesCount;
  readonly faults: Readonly<Record<string, number>>;
  readonly looks: number;
  readonly redeliveries: number;
  readonly lost: number;
  readonly replays: number;
  readonly drainMs: number;
  readonly fsck: boolean;
  readonly breaches: readonly string[];
};

export type TargetRun = {
  readonly result: Promise<TargetResult>;
  /** One line about how it goes. */
  progress(): string;
};

export type TargetRunOptions = {
  readonly arena: Arena;
  readonly directory: string;
  readonly launcher: string;
  readonly options: Options;
  readonly loadMs: number;
  /** Resolves when the user wants it to end. */
  readonly interrupted: Promise<void>;
  readonly onBreach: (line: string) => void;
};

const DRAIN_MS = 60_000;
const LINGER_MS = 2000;
/** As large as what lingers, what waits and what arrives may become, and room to be refused in. */
const STATE_DISK_BYTES = 700 << 20;

const DAEMON_ARGS = [
  ...['--config', '/dev/null', '--socket-group', 'none', '--log-format', 'json'],
  ...['--linger', `${LINGER_MS}ms`, '--retry-min-delay', '100ms', '--retry-max-delay', '1s'],
  ...['--slow-retry-delay', '500ms', '--delivery-timeout', '2s', '--body-timeout', '6s'],
  ...['--min-free-space', '32MiB', '--max-upload-size', String(MAX_UPLOAD_BYTES), '--max-uploads', '8'],
  ...['--max-queued-jobs', '350', '--shutdown-grace', '2s'],
];

export function startTargetRun(run: TargetRunOptions): TargetRun {
  const { arena, directory, options, onBreach } = run;
  const random = new Random(`${options.seed}/${arena.kind}`);
  const breaches = new Breaches(onBreach);
  const ledger = new Ledger();
  const faults = new FaultRecord();
  const content = new Content(`${options.seed}/${arena.kind}`);
  const planner = new Planner(random.fork('plans'), arena.places);
  const watcher = new Watcher({ content, ledger, breaches, sharedFiles: planner.sharedFiles() });
  const stateDir = join(directory, 'state');
  mkdirSync(stateDir, { recursive: true });
  const disk =
    arena.kind === 'fake' && diskProblem() === undefined ? mountDisk(stateDir, STATE_DISK_BYTES) : undefined;
  const daemon = new Daemon({
    launcher: run.launcher,
    directory,
    stateDir: join(stateDir, 'd'),
    args: ['--target', arena.targetUrl, ...DAEMON_ARGS],
  });

  const go = async (): Promise<TargetResult> => {
    let interrupted = false;
    void run.interrupted.then(() => {
      interrupted = true;
    });
    try {
      const lives = await runLoad({
        arena,
        options,
        loadMs: run.loadMs,
        lingerMs: LINGER_MS,
        interrupted: run.interrupted,
        daemon,
        ledger,
        breaches,
        faults,
        content,
        planner,
        watcher,
        random,
        disk,
      });
      const drainStartMs = performance.now();
      if (!interrupted) await untilDrained(daemon, interrupted, breaches);
      const drainMs = Math.round(performance.now() - drainStartMs);
      const checks = new FinalChecks(ledger, breaches, faults, daemon.endedAtMs);
      let account: Account | undefined;
      let fsck = false;
      if (!interrupted) {
        const jobs = await daemon.api.jobs();
        account = checks.checkJobs(jobs);
        checks.checkCounts((await daemon.api.info()).jobs, jobs);
        await checks.checkFiles(watcher);
        await untilGone(arena, breaches);
        await delay(LINGER_MS + 2000 - Math.min(LINGER_MS, drainMs));
        await stop(daemon, breaches);
        await checkState(join(stateDir, 'd'), breaches);
        fsck = runFsck(run.launcher, join(stateDir, 'd'), breaches);
      }
      return {
        kind: arena.kind,
        accepted: ledger.count('accepted'),
        batches: ledger.batches,
        archives: ledger.archives,
        refused: ledger.refusals(),
        unanswered: ledger.count('unknown'),
        cut: ledger.count('cut'),
        account,
        lives,
        faults: faults.counts,
        looks: watcher.looks,
        redeliveries: ledger.redeliveries,
        lost: watcher.lost,
        replays: ledger.replays,
        drainMs,
        fsck,
        breaches: breaches.lines(),
      };
    } finally {
      daemon.signal('SIGCONT');
      daemon.kill();
      await daemon.ended;
      disk?.unmount();
    }
  };

  return {
    result: go(),
    progress: () =>
      `${arena.kind}: ${ledger.count('accepted')} accepted, ${watcher.looks} files looked at, ${breaches.count} breaches`,
  };
}

async function untilDrained(daemon: Daemon, interrupted: boolean, breaches: Breaches): Promise<void> {
  const deadlineMs = performance.now() + DRAIN_MS;
  let left = Number.NaN;
  while (!interrupted && performance.now() < deadlineMs) {
    left = await daemon.api.unfinished().catch(() => Number.NaN);
    if (left === 0) return;
    await delay(100);
  }
  breaches.add(`${left} jobs are still unfinished ${DRAIN_MS / 1000} s after the last fault`);
}

async function untilGone(arena: Arena, breaches: Breaches): Promise<void> {
  const deadlineMs = performance.now() + 5000;
  // An instance that is gone holds nothing, so nobody comes back for what ours had held before.
  const { root = '', wentAtMs } = arena.vanishing ?? {};
  const isExcused = (path: string): boolean =>
    root !== '' &&
    path.startsWith(`${root}/`) &&
    (statSync(path, { throwIfNoEntry: false })?.ctimeMs ?? 0) < (wentAtMs?.() ?? 0);
  const find = () => findTemporaries(arena.roots).filter((path) => !isExcused(path));
  let left = find();
  while (left.length > 0 && performance.now() < deadlineMs) {
    await delay(200);
    left = find();
  }
  for (const path of left) breaches.add(`a temporary file is left: ${path}`);
}

async function stop(daemon: Daemon, breaches: Breaches): Promise<void> {
  daemon.signal('SIGTERM');
  const end = await Promise.race([daemon.ended, delay(20_000, undefined, { ref: false })]);
  if (end === undefined) breaches.add('the daemon did not end within 20 s of its last SIGTERM');
  else if (end.kind !== 'exited') breaches.add(`the daemon ended its last run by ${JSON.stringify(end)}`);
}
