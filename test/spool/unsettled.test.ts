import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Unsettled } from '../../src/spool/unsettled.ts';

test('Unsettled counts changes of one job that overlap', () => {
  const unsettled = new Unsettled();
  unsettled.recording(1, undefined);
  unsettled.recording(1, undefined);
  unsettled.recorded(1, undefined);
  assert.ok(unsettled.isRecording(1));
  unsettled.recorded(1, undefined);
  assert.ok(!unsettled.isRecording(1));
});

test('Unsettled knows the last delivery to a file until it is recorded', () => {
  const unsettled = new Unsettled();
  unsettled.recording(1, 77);
  unsettled.recording(2, 77);
  assert.equal(unsettled.deliveredTo(77), 2);
  unsettled.recorded(1, 77);
  assert.equal(unsettled.deliveredTo(77), 2);
  unsettled.recorded(2, 77);
  assert.equal(unsettled.deliveredTo(77), 0);
});

test('Unsettled knows what is being forgotten', () => {
  const unsettled = new Unsettled();
  unsettled.forgetting([1, 2]);
  unsettled.forgotten([1]);
  assert.ok(!unsettled.isForgetting(1));
  assert.ok(unsettled.isForgetting(2));
});
