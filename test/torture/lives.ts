/** One daemon after the other on the same state directory: each lives for a while and is then ended, mostly by SIGKILL. */
import { setTimeout as delay } from 'node:timers/promises';
import type { TracePoint } from '../../src/base/trace.ts';
import type { Breaches } from './breaches.ts';
import type { Crash, Daemon, End } from './daemon.ts';
import type { Random } from './random.ts';

/** Points, with the most hits that a life waits for. */
export const POINTS: readonly (readonly [TracePoint, number])[] = [
  ['payload-written', 6],
  ['payload-synced', 6],
  ['before-commit', 40],
  ['logged', 80],
  ['before-checkpoint', 6],
  ['after-checkpoint', 6],
  ['after-commit', 40],
  ['answered', 40],
  ['delivering', 40],
  ['before-rename', 40],
  ['after-rename', 40],
  ['recorded', 40],
];

export type LivesOptions = {
  readonly daemon: Daemon;
  readonly breaches: Breaches;
  readonly random: Random;
  readonly killsPerMinute: number;
  /** The power fails while the daemon is dead: takes away what was delivered just now and is nowhere safe. */
  readonly onPowerCut: () => void;
  /** Ends early when it resolves. */
  readonly stop: Promise<void>;
};

export type LivesCount = {
  /** SIGKILLs by point; `random` for those at no point, `start` for those before the daemon was ready. */
  readonly kills: Record<string, number>;
  stops: number;
  freezes: number;
  powerCuts: number;
  slowestStartMs: number;
};

const STOP_TIMEOUT_MS = 20_000;

/** Lets daemons live and die until `stop`; then a last one runs, without anything that would end it. */
export async function runLives(options: LivesOptions): Promise<LivesCount> {
  const { daemon, random, killsPerMinute } = options;
  const count: LivesCount = { kills: {}, stops: 0, freezes: 0, powerCuts: 0, slowestStartMs: 0 };
  let stopped = false;
  void options.stop.then(() => {
    stopped = true;
  });
  const meanMs = 60_000 / killsPerMinute;
  const points = random.deck(POINTS);
  while (!stopped) {
    const lifeMs = Math.min(random.waitMs(meanMs), meanMs * 3);
    const crash = random.chance(0.6) ? drawCrash(random, points.next().value, lifeMs * 0.6) : undefined;
    const extra = ['--max-attempts', random.chance(0.8) ? '1000' : '3'];
    const tookMs = await daemon.start(extra, crash);
    if (tookMs === undefined) {
      await note(options, await daemon.ended, count);
      continue;
    }
    count.slowestStartMs = Math.max(count.slowestStartMs, tookMs);
    await live(options, crash === undefined ? lifeMs : meanMs * 2, count);
    await note(options, await endIt(options, count), count);
  }
  await daemon.start(['--max-attempts', '1000']);
  return count;
}

function drawCrash(random: Random, [point, most]: (typeof POINTS)[number], afterMs: number): Crash {
  return { point, times: random.int(1, most), afterMs: Math.round(afterMs) };
}

async function live(
  { daemon, random, stop }: LivesOptions,
  lifeMs: number,
  count: LivesCount,
): Promise<void> {
  const over = new AbortController();
  const rest = (ms: number): Promise<unknown> =>
    Promise.race([delay(ms, undefined, { signal: over.signal }).catch(() => {}), daemon.ended, stop]);
  if (random.chance(0.1)) {
    await rest(lifeMs / 2);
    // A daemon that gets no time, as on a machine that is suspended.
    daemon.signal('SIGSTOP');
    count.freezes += 1;
    await rest(random.int(200, 2500));
    daemon.signal('SIGCONT');
    await rest(lifeMs / 2);
  } else await rest(lifeMs);
  over.abort();
}

async function endIt({ daemon, random, breaches }: LivesOptions, count: LivesCount): Promise<End> {
  if (!random.chance(0.12)) {
    daemon.kill();
    return daemon.ended;
  }
  count.stops += 1;
  daemon.signal('SIGTERM');
  // An impatient administrator.
  const again = random.chance(0.3)
    ? setTimeout(() => daemon.signal('SIGTERM'), random.int(0, 500))
    : undefined;
  const late = setTimeout(() => {
    breaches.add(`SIGTERM did not end the daemon within ${STOP_TIMEOUT_MS / 1000} s`);
    daemon.kill();
  }, STOP_TIMEOUT_MS);
  const end = await daemon.ended;
  clearTimeout(late);
  clearTimeout(again);
  return end;
}

async function note(
  { daemon, breaches, random, onPowerCut }: LivesOptions,
  end: End,
  count: LivesCount,
): Promise<void> {
  if (end.kind === 'killed') {
    count.kills[end.at] = (count.kills[end.at] ?? 0) + 1;
    if (random.chance(0.15) && daemon.bootAnew()) {
      count.powerCuts += 1;
      onPowerCut();
    }
  } else if (end.kind === 'unexpected') {
    breaches.add(
      `the daemon ended by itself: ${end.what}; its log ${daemon.logPath} ends: ${daemon.lastLogLine()}`,
    );
    await delay(200);
  }
}
