import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Lanes } from '../../src/queue/lanes.ts';
import { createRecord } from '../../src/spool/create-record.ts';
import { LiveIndex } from '../../src/spool/live-index.ts';
import { draft } from '../spool/spool-builder.ts';

test('Lanes run at once what waits for a time when the clock is set back', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    let nowMs = Date.now();
    const live = new LiveIndex();
    live.add('default/c1', 1);
    const about = { sequence: 1, nowMs, size: 3, payloadFile: 0, maxAttempts: 3 };
    const record = { ...createRecord(draft(), about), nextAttemptAt: nowMs + 30_000 };
    const pumped: string[] = [];
    const lanes = new Lanes({
      live,
      read: () => record,
      pump: ({ name }) => pumped.push(name),
      nowMs: () => nowMs,
      leastPauseMs: 1000,
      mostDelayMs: 60_000,
    });
    const lane = lanes.of('default/c1');
    assert.deepEqual(lane.take(1, nowMs), []);
    lanes.pause(lane, record);
    assert.equal(lane.phaseOf(1), 'deferred');
    nowMs -= 3_600_000;
    mock.timers.tick(15_000);
    assert.deepEqual(pumped, ['default/c1']);
    assert.deepEqual(lane.take(1, nowMs), [1]);
    lanes.stop();
  } finally {
    mock.timers.reset();
  }
});
