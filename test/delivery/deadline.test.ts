import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Deadline, DeadlineError, StoppedError } from '../../src/delivery/deadline.ts';

const never = () => new Promise<never>(() => {});

describe('Deadline', () => {
  it('run() gives the result or the error of its work', async () => {
    const deadline = new Deadline(1000);
    assert.equal(await deadline.run('one', async () => 1), 1);
    await assert.rejects(
      deadline.run('two', () => Promise.reject(new Error('two'))),
      /two/,
    );
    deadline.end();
  });

  it('run() fails when nothing happens in time, naming the step', async () => {
    const deadline = new Deadline(20);
    await deadline.run('first', async () => {});
    await assert.rejects(deadline.run('second', never), (error) => {
      assert.ok(error instanceof DeadlineError);
      assert.equal(error.step, 'second');
      return true;
    });
    await assert.rejects(
      deadline.run('third', async () => {}),
      DeadlineError,
    );
    deadline.end();
  });

  it('counting, when set again, gives the step its whole time', async () => {
    const deadline = new Deadline(150);
    const startedAt = performance.now();
    await deadline.run('long', async () => {
      while (performance.now() - startedAt < 400) {
        await delay(20);
        deadline.counting = true;
      }
    });
    deadline.end();
  });

  it('wait() has all the time, and so has run() while nothing counts', async () => {
    const deadline = new Deadline(50);
    await deadline.wait('long', () => delay(120));
    const startedAt = performance.now();
    const running = deadline.run('pausing', async () => {
      deadline.counting = false;
      await delay(120);
      deadline.counting = true;
      await never();
    });
    await assert.rejects(running, DeadlineError);
    assert.ok(performance.now() - startedAt >= 165);
    deadline.end();
  });

  it('the signal ends whatever runs, and all that follows', async () => {
    const controller = new AbortController();
    const deadline = new Deadline(1000, controller.signal);
    const running = deadline.wait('long', never);
    controller.abort();
    await assert.rejects(running, StoppedError);
    await assert.rejects(
      deadline.run('next', async () => {}),
      StoppedError,
    );
    const late = new Deadline(1000, controller.signal);
    await assert.rejects(
      late.run('first', async () => {}),
      StoppedError,
    );
    deadline.end();
  });
});
