/** `npm run torture`: breaks everything around the daemon for a while, then looks whether a promise was broken. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../src/errors.ts';
import type { Arena, TargetKind } from './arena.ts';
import { openDirectoryArena } from './directory-arena.ts';
import { openFakeArena } from './fake-arena.ts';
import { incusProblem, openIncusArena } from './incus-arena.ts';
import { type Options, parseOptions, USAGE } from './options.ts';
import { copyProgram } from './program-copy.ts';
import { startTargetRun, type TargetResult } from './run-target.ts';
import { formatSummary } from './summary.ts';

const EXIT_USAGE = 64;
const EXIT_INTERRUPTED = 130;
const PROGRESS_EVERY_MS = 10_000;
/** What is kept of the minutes for the end: queues run empty, and everything is looked at. */
const END_MS = 15_000;

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(argv, Date.now());
  } catch (error) {
    say(`${messageOf(error)}\n${USAGE}`);
    return EXIT_USAGE;
  }
  const targets = choose(options.targets);
  if (targets === undefined) return 1;
  // In the open: a container's root has to reach its file system. A short path: a socket's name must fit.
  const directory = mkdtempSync(join(existsSync('/var/tmp') ? '/var/tmp' : tmpdir(), 'iu-torture-'));
  chmodSync(directory, 0o711);
  say(`seed ${options.seed}, state in ${directory}`);
  const interrupted = interruption();
  const run = await runAll(options, targets, directory, interrupted.promise);
  if (run === undefined || interrupted.happened()) {
    rmSync(directory, { recursive: true, force: true });
    return interrupted.happened() ? EXIT_INTERRUPTED : 1;
  }
  process.stdout.write(formatSummary(options.seed, run));
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify({ seed: options.seed, targets: run }, null, 2)}\n`);
  }
  const clean = run.every(({ breaches }) => breaches.length === 0);
  if (clean && !options.keep) rmSync(directory, { recursive: true, force: true });
  else say(`the state is kept in ${directory}`);
  return clean ? 0 : 1;
}

async function runAll(
  options: Options,
  targets: readonly TargetKind[],
  directory: string,
  interrupted: Promise<void>,
): Promise<TargetResult[] | undefined> {
  const arenas: Arena[] = [];
  const startMs = performance.now();
  try {
    const launcher = options.program ?? copyProgram(join(directory, 'program'));
    for (const kind of targets) arenas.push(await openArena(kind, own(directory, kind)));
    const loadMs = Math.max(1000, options.minutes * 60_000 - (performance.now() - startMs) - END_MS);
    const runs = arenas.map((arena) =>
      startTargetRun({
        arena,
        directory: own(directory, arena.kind),
        launcher,
        options,
        loadMs,
        interrupted,
        onBreach: (line) => say(`BREACH ${arena.kind}: ${line}`),
      }),
    );
    const timer = setInterval(() => say(runs.map((run) => run.progress()).join('; ')), PROGRESS_EVERY_MS);
    try {
      return await settled(runs.map(({ result }) => result));
    } finally {
      clearInterval(timer);
    }
  } catch (error) {
    say(`the torture itself failed: ${error instanceof Error ? error.stack : String(error)}`);
    return undefined;
  } finally {
    for (const arena of arenas) await arena.close().catch((error: unknown) => say(messageOf(error)));
  }
}

/** Waits for all, so that nothing runs any more when one has failed. */
async function settled<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}

function own(directory: string, kind: TargetKind): string {
  const path = join(directory, kind);
  mkdirSync(path, { recursive: true, mode: 0o711 });
  return path;
}

function openArena(kind: TargetKind, directory: string): Promise<Arena> {
  if (kind === 'dir') return Promise.resolve(openDirectoryArena(directory));
  return kind === 'fake' ? openFakeArena(directory) : openIncusArena(directory);
}

/** The targets that can be had here; undefined when one that must be had cannot. */
function choose(wanted: readonly TargetKind[]): TargetKind[] | undefined {
  const problem = wanted.includes('incus') ? incusProblem() : undefined;
  if (problem === undefined) return [...wanted];
  say(`the real Incus is left out: ${problem}`);
  if (process.env.CI === 'true') return undefined;
  return wanted.filter((kind) => kind !== 'incus');
}

function interruption(): { promise: Promise<void>; happened: () => boolean } {
  let happened = false;
  const promise = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        if (!happened) say('interrupted, cleaning up');
        happened = true;
        resolve();
      });
    }
  });
  return { promise, happened: () => happened };
}

function say(text: string): void {
  process.stderr.write(`torture: ${text}\n`);
}
