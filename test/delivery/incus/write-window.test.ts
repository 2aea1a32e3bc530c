import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WriteWindow } from '../../../src/delivery/incus/write-window.ts';
import { createGate } from '../delivery-builder.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('WriteWindow', () => {
  it('room() waits while as many writes are under way as may be', async () => {
    const window = new WriteWindow(2);
    const gates = [createGate(), createGate()];
    let confirmed = 0;
    for (const gate of gates) {
      await window.room();
      window.add(gate.promise, () => {
        confirmed += 1;
      });
    }
    let roomy = false;
    const waiting = window.room().then(() => {
      roomy = true;
    });
    await turn();
    assert.ok(!roomy);
    gates[1]?.open();
    await waiting;
    assert.equal(confirmed, 1);
    assert.equal(window.inFlight, 1);
    gates[0]?.open();
    await window.empty();
    assert.equal(confirmed, 2);
  });

  it('a failed write ends every wait, and no later write is confirmed', async () => {
    const window = new WriteWindow(1);
    const [first, second] = [createGate(), createGate()];
    window.add(first.promise, () => {});
    window.add(second.promise, () => assert.fail('confirmed'));
    const waiting = window.during(new Promise(() => {}));
    first.fail(new Error('broken'));
    await assert.rejects(waiting, /broken/);
    second.open();
    await turn();
    await assert.rejects(window.room(), /broken/);
    await assert.rejects(window.empty(), /broken/);
    await assert.rejects(window.during(Promise.resolve()), /broken/);
  });

  it('during() gives the result of other work', async () => {
    const window = new WriteWindow(1);
    assert.equal(await window.during(Promise.resolve(7)), 7);
    await assert.rejects(window.during(Promise.reject(new Error('read'))), /read/);
  });
});
