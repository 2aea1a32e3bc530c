import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parsePayloadName, payloadName } from '../../src/spool/recovery.ts';
import { Spool } from '../../src/spool/spool.ts';
import { makeDirectory, payloadFiles, payloadOf, readPayload, spoolOptions } from './spool-builder.ts';

const CHILD = fileURLToPath(new URL('recovery-child.ts', import.meta.url));
const ROUNDS = 6;

test('payloadName() and parsePayloadName() are a pair', () => {
  for (const number of [1, 36, 1_795_505_521_837_000, Number.MAX_SAFE_INTEGER])
    assert.equal(parsePayloadName(payloadName(number)), number);
  for (const name of ['', 'a', '.payload', 'a.payload.1', 'A.payload', '../a.payload', 'zzzzzzzzzzz.payload'])
    assert.equal(parsePayloadName(name), undefined, name);
});

type Told = Map<number, string>;

/** Lets the child work until it has told `lines` things, then kills it with SIGKILL. */
async function runAndKill(stateDir: string, round: number, lines: number, told: Told): Promise<void> {
  const child = spawn(process.execPath, ['--import', 'tsx', CHILD, stateDir, String(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let count = 0;
  let text = '';
  for await (const chunk of child.stdout) {
    text += String(chunk);
    const whole = text.split('\n');
    text = whole.pop() ?? '';
    for (const line of whole) {
      const [word = '', sequence] = line.split(' ');
      told.set(Number(sequence), word);
      count += 1;
    }
    if (count >= lines) child.kill('SIGKILL');
  }
  const [, signal] = await exited;
  assert.equal(signal, 'SIGKILL');
}

test('every job that was acknowledged before kill -9 is there afterwards, whole', async (t) => {
  const stateDir = await makeDirectory(t);
  const told: Told = new Map();
  for (let round = 0; round < ROUNDS; round += 1) {
    await runAndKill(stateDir, round, 20 + randomInt(250), told);
    const spool = await Spool.open(spoolOptions(stateDir, { lingerMs: 50 }));
    try {
      for (const [sequence, word] of told) {
        const record = spool.read(sequence);
        assert.ok(record, `job ${sequence} of round ${round} is gone`);
        if (word === 'd') assert.equal(record.state, 'delivered');
        else if (word === 'x') assert.equal(record.state, 'cancelled');
      }
      let live = 0;
      const needed = new Set<string>();
      for (const sequence of spool.journal.jobs.getKeys({ start: 0 })) {
        const record = spool.read(sequence);
        assert.ok(record);
        const isLive = record.state === 'queued';
        assert.equal(spool.journal.live.doesExist(sequence), isLive);
        if (!isLive) continue;
        live += 1;
        if (record.payloadFile !== 0) needed.add(payloadName(record.payloadFile));
        assert.ok(
          (await readPayload(spool, record)).equals(payloadOf(record.path, record.size)),
          `the payload of job ${sequence} is damaged`,
        );
      }
      assert.equal(spool.live.size, live);
      const lingering = [...spool.payloads.lingering()].filter((one) => one.payloadFile !== 0);
      for (const { payloadFile } of lingering) needed.add(payloadName(payloadFile));
      assert.deepEqual(await payloadFiles(stateDir), [...needed].sort());
    } finally {
      await spool.close();
    }
  }
  assert.ok(told.size > ROUNDS * 10);
});
