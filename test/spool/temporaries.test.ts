import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceptFile, draft, openSpool, settle } from './spool-builder.ts';

const entry = (sequence: number, name: string) => ({
  sequence,
  name,
  project: 'default',
  instance: 'c1',
  path: `/srv/${name}`,
});

test('Temporaries are remembered over a crash until they are forgotten', async (t) => {
  const made = await openSpool(t);
  const notes = [entry(1, 'a'), entry(1, 'b'), entry(2, 'a')];
  for (const note of notes) await made.spool.temporaries.note(note);
  const { temporaries } = await made.crash();
  assert.deepEqual(temporaries.of(1), notes.slice(0, 2));
  assert.deepEqual(temporaries.all(), notes);
  await temporaries.forget([entry(1, 'a'), entry(2, 'a')]);
  assert.deepEqual(temporaries.of(2), []);
  assert.deepEqual((await made.crash()).temporaries.all(), [entry(1, 'b')]);
});

test('Spool.record() forgets the temporaries that are gone', async (t) => {
  const { spool } = await openSpool(t);
  const record = await acceptFile(spool, draft(), Buffer.from('x'));
  const note = { ...entry(record.sequence, 'a'), path: '/srv/a' };
  await spool.temporaries.note(note);
  assert.deepEqual(spool.temporaries.of(record.sequence), [note]);
  const deferred = await settle(spool, record, 'deferred');
  assert.deepEqual(spool.temporaries.of(record.sequence), [note]);
  await spool.record(deferred, deferred, { removed: ['a'] });
  assert.deepEqual(spool.temporaries.all(), []);
});
