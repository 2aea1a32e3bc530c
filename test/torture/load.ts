/** Clients, kills, faults and the watcher of one daemon, all at once. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Arena } from './arena.ts';
import type { Breaches } from './breaches.ts';
import { runClients } from './clients.ts';
import type { Content } from './content.ts';
import type { Daemon } from './daemon.ts';
import type { Disk } from './disk.ts';
import { type Fault, type FaultRecord, runFaults } from './fault.ts';
import type { Ledger } from './ledger.ts';
import { type LivesCount, runLives } from './lives.ts';
import type { Options } from './options.ts';
import type { Random } from './random.ts';
import type { Planner } from './upload-plan.ts';
import type { Watcher } from './watcher.ts';

const MAX_BACKLOG = 300;
const THINK_MS = 200;
const STATE_FULL = 'state directory full';

export type LoadParts = {
  readonly arena: Arena;
  readonly options: Options;
  readonly loadMs: number;
  /** How long the daemon keeps what it has delivered. */
  readonly lingerMs: number;
  /** Resolves when the user wants it to end. */
  readonly interrupted: Promise<void>;
  readonly daemon: Daemon;
  readonly ledger: Ledger;
  readonly breaches: Breaches;
  readonly faults: FaultRecord;
  readonly content: Content;
  readonly planner: Planner;
  readonly watcher: Watcher;
  readonly random: Random;
  readonly disk: Disk | undefined;
};

/** Clients, kills, faults and the watcher together; resolves when all have ended and the last daemon runs. */
export async function runLoad(parts: LoadParts): Promise<LivesCount> {
  const { arena, options, daemon, ledger, breaches, faults, content, planner, watcher, random, disk } = parts;
  let over = false;
  let watching = true;
  const timeUp = new AbortController();
  const stop = Promise.race([
    delay(parts.loadMs, undefined, { signal: timeUp.signal }).catch(() => {}),
    parts.interrupted,
  ]).then(() => {
    over = true;
  });
  const diskFaults: Fault[] = disk === undefined ? [] : [fillState(disk)];
  const lives = runLives({
    daemon,
    breaches,
    random: random.fork('lives'),
    killsPerMinute: options.killsPerMinute,
    onPowerCut: () => {
      watcher.cutsAtMs.push(Date.now());
      // Delivered payloads give way on a full disk, and then there is nothing to deliver again.
      if (!faults.isRecent(STATE_FULL)) watcher.loseSince(Date.now() - parts.lingerMs * 0.9);
    },
    stop,
  });
  const others = [
    runFaults({
      faults: arena.faults,
      record: faults,
      random: random.fork('faults'),
      breaches,
      pauseMs: 1500,
      stop,
    }),
    runFaults({
      faults: diskFaults,
      record: faults,
      random: random.fork('disk'),
      breaches,
      pauseMs: 20_000,
      stop,
    }),
    runClients({
      count: options.clients,
      socketPath: daemon.socketPath,
      api: daemon.api,
      planner,
      content,
      ledger,
      breaches,
      random: random.fork('clients'),
      thinkMs: THINK_MS,
      backlog: createBacklog(daemon, () => over),
      stopped: () => over,
    }),
  ];
  const looking = watcher.run(() => !watching);
  try {
    const [count] = await Promise.all([lives, ...others]);
    return count;
  } finally {
    timeUp.abort();
    watching = false;
    await looking;
  }
}

function fillState(disk: Disk): Fault {
  return {
    name: STATE_FULL,
    codes: [],
    longestMs: 6000,
    begin: async (random) => {
      disk.fill(random.pick([0, 0, 300_000, 3 << 20, 20 << 20, 40 << 20]));
      return async () => disk.empty();
    },
  };
}

/** One question a moment for all clients: how many jobs wait. */
function createBacklog(daemon: Daemon, over: () => boolean): () => Promise<void> {
  let waiting = 0;
  let askedAtMs = 0;
  return async () => {
    for (;;) {
      if (performance.now() - askedAtMs > 300) {
        askedAtMs = performance.now();
        waiting = await daemon.api.unfinished().catch(() => 0);
      }
      if (waiting < MAX_BACKLOG || over()) return;
      await delay(100);
    }
  };
}
