/**
 * Writes entries that belong together until it is killed; prints the number of each once it is committed. With
 * `checkpoints` lmdb is brought up to date all the time.
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Ballast } from '../../src/spool/ballast.ts';
import { Journal } from '../../src/spool/journal.ts';

const [directory = '', first = '0', checkpoints] = process.argv.slice(2);
const journal = await Journal.open(join(directory, 'journal'), {
  ballast: new Ballast(directory),
  onBroken: (error) => {
    throw error;
  },
});

async function writer(start: number, step: number): Promise<void> {
  for (let number = start; ; number += step) {
    const value = Buffer.from(`${number}`.repeat(1 + (number % 300)));
    await journal.write(() => {
      for (const table of [journal.jobs, journal.live, journal.payloads, journal.failed])
        table.put(number, value);
    });
    writeSync(1, `${number}\n`);
  }
}

async function bringUpToDate(): Promise<void> {
  for (;;) {
    await delay(Math.random() * 3);
    await journal.checkpoint();
  }
}

const writers = Array.from({ length: 8 }, (_, i) => writer(Number(first) + 1 + i, 8));
await Promise.all(checkpoints === undefined ? writers : [...writers, bringUpToDate()]);
