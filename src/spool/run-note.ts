/** What the journal knows of the runs before: the format, how many there were, and how the last one ended. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Ballast } from './ballast.ts';
import { isDiskLow } from './disk-space.ts';
import type { Journal } from './journal.ts';

const TRIES = 20;
const RETRY_MS = 250;

/**
 * Counts the start and tells what came before it. Until `noteBoot` the journal still says how the last run ended, so
 * that a start which is killed early is made up for by the next one.
 */
export async function noteStart(
  journal: Journal,
  ballast: Ballast,
  bootId: string,
): Promise<{ run: number; afterPowerCut: boolean }> {
  const { meta } = journal;
  const run = Number(meta.get('run')?.toString() ?? '0') + 1;
  const bootBefore = meta.get('boot')?.toString();
  const clean = meta.get('clean')?.toString() === '1';
  await persistently(ballast, () => journal.write(() => meta.put('run', Buffer.from(String(run)))));
  return { run, afterPowerCut: bootBefore !== undefined && bootBefore !== bootId && !clean };
}

/** From now on the end of this run counts. */
export async function noteBoot(journal: Journal, ballast: Ballast, bootId: string): Promise<void> {
  const { meta } = journal;
  await persistently(ballast, () =>
    journal.write(() => {
      meta.put('boot', Buffer.from(bootId));
      meta.put('clean', Buffer.from('0'));
    }),
  );
}

/** The run ends in order. On a full disk it counts as not, which costs a repeated delivery after a power cut. */
export async function noteEnd(journal: Journal): Promise<void> {
  try {
    await journal.write(() => journal.meta.put('clean', Buffer.from('1')));
  } catch (error) {
    if (!isDiskLow(error)) throw error;
  }
}

/** Resolves once a small write is on stable storage: the journal works. `disk_low` on a full disk. */
export function proveJournal(journal: Journal, nowMs: number): Promise<void> {
  return journal.write(() => journal.meta.put('proved', Buffer.from(String(nowMs))));
}

/** A start on a full disk gets through with what the ballast frees, or says after a few seconds that it cannot. */
async function persistently(ballast: Ballast, write: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await write();
      return;
    } catch (error) {
      if (!isDiskLow(error) || tries === TRIES) throw error;
      if (!(await ballast.throwOff())) await delay(RETRY_MS);
    }
  }
}
