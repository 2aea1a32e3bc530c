import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import fc from 'fast-check';
import { RetryClock } from '../../src/queue/retry-clock.ts';

/** A clock and timers that only `pass` moves. */
function mockTime() {
  mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 1_000_000;
  let setMs = 0;
  return {
    nowMs: () => nowMs + setMs,
    steadyMs: () => nowMs,
    /** As an administrator or NTP would. */
    setClock: (byMs: number) => {
      setMs += byMs;
    },
    pass: (ms: number) => {
      nowMs += ms;
      mock.timers.tick(ms);
    },
  };
}

test('RetryClock rings every alarm once, in order of time and never early', () => {
  const delays = fc.array(fc.integer({ min: -5, max: 1000 }), { maxLength: 50 });
  const passes = fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 20 });
  fc.assert(
    fc.property(delays, passes, (delaysMs, passesMs) => {
      const time = mockTime();
      try {
        const clock = new RetryClock(time.nowMs, time.steadyMs);
        const rung: number[] = [];
        const dues = delaysMs.map((ms) => time.nowMs() + ms);
        for (const dueMs of dues) {
          clock.set(dueMs, () => {
            assert.ok(dueMs <= time.nowMs());
            rung.push(dueMs);
          });
        }
        for (const ms of passesMs) {
          time.pass(ms);
          assert.equal(rung.length, dues.filter((dueMs) => dueMs <= time.nowMs()).length);
        }
        time.pass(2000);
        assert.deepEqual(
          rung,
          [...dues].sort((a, b) => a - b),
        );
      } finally {
        mock.timers.reset();
      }
    }),
  );
});

test('RetryClock.set() takes an alarm from within an alarm', (t) => {
  const time = mockTime();
  t.after(() => mock.timers.reset());
  const clock = new RetryClock(time.nowMs, time.steadyMs);
  const rung: string[] = [];
  clock.set(time.nowMs() + 10, () => {
    rung.push('first');
    clock.set(time.nowMs() + 10, () => rung.push('second'));
  });
  time.pass(10);
  assert.deepEqual(rung, ['first']);
  time.pass(10);
  assert.deepEqual(rung, ['first', 'second']);
});

test('RetryClock.set() takes an alarm further away than a timer reaches', (t) => {
  const time = mockTime();
  t.after(() => mock.timers.reset());
  const clock = new RetryClock(time.nowMs, time.steadyMs);
  let rung = 0;
  const DAY_MS = 86_400_000;
  clock.set(time.nowMs() + 30 * DAY_MS, () => {
    rung += 1;
  });
  time.pass(29 * DAY_MS);
  assert.equal(rung, 0);
  time.pass(DAY_MS);
  assert.equal(rung, 1);
});

test('RetryClock.stop() silences alarms that are set and those that are set later', (t) => {
  const time = mockTime();
  t.after(() => mock.timers.reset());
  const clock = new RetryClock(time.nowMs, time.steadyMs);
  clock.set(time.nowMs() + 10, () => assert.fail());
  clock.stop();
  clock.set(time.nowMs() + 10, () => assert.fail());
  time.pass(100);
});

test('RetryClock tells within 15 s that the clock was set, forth or back, and not that it drifts', () => {
  for (const byMs of [-3_600_000, 3_600_000, 1_500_000_000_000]) {
    const time = mockTime();
    try {
      let told = 0;
      const clock = new RetryClock(time.nowMs, time.steadyMs, () => {
        told += 1;
      });
      clock.set(time.nowMs() + 1e13, () => assert.fail());
      for (let i = 0; i < 10; i += 1) {
        time.setClock(1000);
        time.pass(15_000);
      }
      assert.equal(told, 0);
      time.setClock(byMs);
      time.pass(15_000);
      assert.equal(told, 1);
      time.pass(60_000);
      assert.equal(told, 1);
      clock.stop();
    } finally {
      mock.timers.reset();
    }
  }
});
