import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteMeter } from '../../src/base/byte-meter.ts';

test('ByteMeter tells a steady rate and the time that is left', () => {
  const meter = new ByteMeter(0);
  for (let nowMs = 100; nowMs <= 10_000; nowMs += 100) {
    meter.add(1000);
    assert.ok(Math.abs(meter.rate(nowMs) - 10_000) < 1e-6);
  }
  assert.equal(meter.bytes, 100_000);
  assert.ok(Math.abs((meter.timeLeftMs(200_000, 10_000) ?? 0) - 10_000) < 1e-6);
  assert.equal(meter.timeLeftMs(50_000, 10_000), 0);
});

test('ByteMeter follows a change slowly', () => {
  const meter = new ByteMeter(0, 3000);
  meter.add(1000);
  meter.rate(1000);
  meter.add(100_000);
  const rate = meter.rate(2000);
  assert.ok(rate > 1000 && rate < 50_000);
});

test('ByteMeter cannot tell the time left before anything moved', () => {
  const meter = new ByteMeter(0);
  assert.equal(meter.timeLeftMs(10, 5000), undefined);
});

test('ByteMeter stays between the slowest and the fastest rate it saw, whatever the clock does', () => {
  const step = fc.record({ bytes: fc.nat({ max: 1e9 }), afterMs: fc.integer({ min: -500, max: 5000 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const meter = new ByteMeter(0);
      let nowMs = 0;
      let total = 0;
      for (const { bytes, afterMs } of steps) {
        nowMs += afterMs;
        total += bytes;
        meter.add(bytes);
        const rate = meter.rate(nowMs);
        assert.ok(Number.isFinite(rate) && rate >= 0);
      }
      assert.equal(meter.bytes, total);
    }),
  );
});
