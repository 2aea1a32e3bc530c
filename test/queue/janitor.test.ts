import assert from 'node:assert/strict';
import { mock, type TestContext, test } from 'node:test';
import { Janitor } from '../../src/queue/janitor.ts';
import { openSpool } from '../spool/spool-builder.ts';
import { releaseAfter } from '../support/release-after.ts';
import { eventually } from './queue-builder.ts';

type Removal = (instance: string, path: string) => boolean | Promise<boolean>;

async function open(t: TestContext, removal: Removal, inUse: (sequence: number) => boolean = () => false) {
  const { spool } = await openSpool(t);
  const asked: string[] = [];
  const target = {
    removeTemporary: async (_project: string, instance: string, path: string) => {
      asked.push(`${instance}:${path}`);
      return removal(instance, path);
    },
  };
  const janitor = new Janitor(spool, target, ({ sequence }) => inUse(sequence));
  releaseAfter(t, () => janitor.stop());
  const note = (sequence: number, instance = 'c1'): Promise<void> =>
    spool.temporaries.note({ sequence, name: 'tmp', project: 'default', instance, path: `/tmp-${sequence}` });
  const left = (): number[] => spool.temporaries.all().map(({ sequence }) => sequence);
  const untilLeft = (expected: number[]): Promise<void> =>
    eventually(
      () => left().join() === expected.join(),
      () => `left are ${expected.join()}, not ${left().join()}`,
    );
  return { janitor, asked, note, left, untilLeft };
}

test('Janitor removes what nobody uses and leaves what an attempt will look after', async (t) => {
  const { janitor, asked, note, untilLeft } = await open(
    t,
    () => true,
    (sequence) => sequence === 2,
  );
  for (const sequence of [1, 2, 3]) await note(sequence);
  janitor.look();
  await untilLeft([2]);
  assert.deepEqual(asked, ['c1:/tmp-1', 'c1:/tmp-3']);
});

test('Janitor asks an instance that does not answer once in a look, and others all the same', async (t) => {
  const { janitor, asked, note, untilLeft } = await open(t, (instance) => instance !== 'mute');
  await note(1, 'mute');
  await note(2, 'mute');
  await note(3, 'c1');
  janitor.look();
  await untilLeft([1, 2]);
  assert.deepEqual(asked, ['mute:/tmp-1', 'c1:/tmp-3']);
});

test('Janitor looks again by itself while something is left', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  let answers = false;
  const { janitor, asked, note, left } = await open(t, () => answers);
  await note(1);
  const settle = async (looks: number): Promise<void> => {
    while (asked.length < looks) await new Promise((resolve) => setImmediate(resolve));
    for (let turns = 0; turns < 100; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  janitor.look();
  await settle(1);
  mock.timers.tick(30_000);
  await settle(2);
  answers = true;
  mock.timers.tick(30_000);
  await settle(3);
  while (left().length > 0) await new Promise((resolve) => setImmediate(resolve));
});

test('Janitor.look() during a look is followed by another one', async (t) => {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { janitor, note, untilLeft } = await open(t, async () => {
    await held;
    return true;
  });
  await note(1);
  janitor.look();
  await note(2);
  janitor.look();
  release();
  await untilLeft([]);
});

test('Janitor.stop() waits for what it is doing and begins nothing more', async (t) => {
  const { janitor, asked, note, left } = await open(t, () => true);
  await note(1);
  await note(2);
  janitor.look();
  await janitor.stop();
  assert.equal(asked.length, 1);
  assert.deepEqual(left(), [2]);
  janitor.look();
  assert.equal(asked.length, 1);
});
