/** A journal whose process is killed, or whose machine loses power, while it writes. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Ballast } from '../../src/spool/ballast.ts';
import { Journal } from '../../src/spool/journal.ts';
import { releaseAfter } from '../support/release-after.ts';
import { diskProblem, mountAfterPowerCut, mountDisk } from './small-disk.ts';
import { makeDirectory } from './spool-builder.ts';

const MIB = 1 << 20;
const CHILD = fileURLToPath(new URL('journal-child.ts', import.meta.url));

type Writer = { readonly child: ChildProcess; readonly acknowledged: number[] };

function startWriter(t: TestContext, directory: string, first: number, ...more: string[]): Writer {
  const args = ['--import', 'tsx', CHILD, directory, String(first), ...more];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const acknowledged: number[] = [];
  let text = '';
  child.stdout?.on('data', (chunk) => {
    text += String(chunk);
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) acknowledged.push(Number(line));
  });
  releaseAfter(t, () => child.kill('SIGKILL'));
  return { child, acknowledged };
}

async function untilAcknowledged({ child, acknowledged }: Writer, count: number): Promise<void> {
  const deadlineMs = Date.now() + 60_000;
  while (acknowledged.length < count) {
    assert.ok(Date.now() < deadlineMs && child.exitCode === null, 'it goes on');
    await delay(1);
  }
}

async function kill({ child }: Writer): Promise<void> {
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

/** Opens what was left: all that was acknowledged is there, and whatever is there is there whole. */
async function checkJournal(directory: string, acknowledged: readonly number[]): Promise<void> {
  const journal = await Journal.open(join(directory, 'journal'), {
    ballast: new Ballast(directory),
    onBroken: (error) => {
      throw error;
    },
  });
  try {
    const there = new Set(journal.jobs.getKeys());
    const lost = acknowledged.filter((number) => !there.has(number));
    assert.deepEqual(lost, [], `of ${acknowledged.length} acknowledged`);
    for (const table of [journal.live, journal.payloads, journal.failed]) {
      assert.equal(table.count(), there.size);
      for (const number of there) assert.deepEqual(table.get(number), journal.jobs.get(number));
    }
  } finally {
    await journal.close();
  }
}

test('what was acknowledged is there whole when the process is killed', async (t) => {
  const directory = await makeDirectory(t);
  const acknowledged: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const writer = startWriter(t, directory, round * 1e6);
    await untilAcknowledged(writer, 1 + 800 * round);
    await kill(writer);
    acknowledged.push(...writer.acknowledged);
    await checkJournal(directory, acknowledged);
  }
});

test('what was acknowledged is there when the process is killed while lmdb is brought up to date', async (t) => {
  const directory = await makeDirectory(t);
  const acknowledged: number[] = [];
  for (let round = 0; round < 10; round += 1) {
    const writer = startWriter(t, directory, round * 1e6, 'checkpoints');
    await untilAcknowledged(writer, 500);
    await kill(writer);
    acknowledged.push(...writer.acknowledged);
    await checkJournal(directory, acknowledged);
  }
});

for (const how of ['', 'checkpoints']) {
  const when = how === '' ? '' : ' while lmdb is brought up to date';
  test(`what was acknowledged is there when the power fails${when}`, {
    skip: diskProblem('ext4'),
  }, async (t) => {
    const disk = mountDisk(t, 'ext4', 256 * MIB);
    const acknowledged: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      const writer = startWriter(t, disk, round * 1e6, ...(how === '' ? [] : [how]));
      await untilAcknowledged(writer, 1 + 500 * round);
      writer.child.kill('SIGSTOP');
      // What it has said so far arrives, and what it has begun to write ends.
      await delay(200);
      await checkJournal(mountAfterPowerCut(t, disk), [...acknowledged, ...writer.acknowledged]);
      await kill(writer);
      acknowledged.push(...writer.acknowledged);
    }
  });
}
