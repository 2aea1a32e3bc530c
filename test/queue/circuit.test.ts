import assert from 'node:assert/strict';
import { mock, type TestContext, test } from 'node:test';
import { Circuit, type Probe } from '../../src/queue/circuit.ts';

const away = { reachable: false, reason: 'no socket' } as const;
const there = { reachable: true } as const;

/** A circuit whose probe answers what it is told to, with timers that the test moves. */
function makeCircuit(t: TestContext) {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const made: {
    answer: Awaited<ReturnType<Probe>>;
    probes: number;
    nowMs: number;
    said: string[];
    circuit: Circuit;
    pass(ms: number): Promise<void>;
  } = {
    answer: away,
    probes: 0,
    nowMs: 500,
    said: [],
    circuit: new Circuit({
      probe: () => {
        made.probes += 1;
        return Promise.resolve(made.answer);
      },
      intervalMs: 1000,
      nowMs: () => made.nowMs,
      onOpen: (reason) => made.said.push(`open: ${reason}`),
      onClose: () => made.said.push('close'),
    }),
    pass: async (ms: number) => {
      mock.timers.tick(ms);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
  return made;
}

test('Circuit opens once, asks every interval, and closes at the first good answer', async (t) => {
  const made = makeCircuit(t);
  const { circuit } = made;
  assert.equal(circuit.openSinceMs, undefined);
  circuit.open('refused');
  circuit.open('refused again');
  assert.equal(circuit.reason, 'refused again');
  made.nowMs = 900;
  assert.equal(circuit.openSinceMs, 500);
  await made.pass(999);
  assert.equal(made.probes, 0);
  await made.pass(1);
  assert.equal(circuit.reason, 'no socket');
  await made.pass(1000);
  assert.equal(made.probes, 2);
  made.answer = there;
  await made.pass(1000);
  assert.equal(circuit.reason, undefined);
  assert.equal(circuit.openSinceMs, undefined);
  await made.pass(10_000);
  assert.equal(made.probes, 3, 'it goes on asking although Incus is there');
  assert.deepEqual(made.said, ['open: refused', 'close']);
});

test('Circuit.ask() closes at once, and starts open when Incus is away from the beginning', async (t) => {
  const made = makeCircuit(t);
  await made.circuit.ask();
  assert.equal(made.circuit.reason, 'no socket');
  made.answer = there;
  await made.circuit.ask();
  assert.equal(made.circuit.reason, undefined);
  await made.pass(10_000);
  assert.equal(made.probes, 2);
});

test('Circuit.ask() asks one question at a time', async (t) => {
  const made = makeCircuit(t);
  await Promise.all([made.circuit.ask(), made.circuit.ask(), made.circuit.ask()]);
  assert.equal(made.probes, 1);
});

test('Circuit.stop() ends the asking and says nothing any more', async (t) => {
  const made = makeCircuit(t);
  made.circuit.open('refused');
  const asking = made.circuit.ask();
  made.circuit.stop();
  made.answer = there;
  await asking;
  await made.pass(10_000);
  made.circuit.open('again');
  assert.equal(made.probes, 1);
  assert.deepEqual(made.said, ['open: refused']);
});
