import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JobRecord } from '../../src/spool/job-record.ts';
import { draft, openSpool } from './spool-builder.ts';

test('Spool knows which files a later archive has put into place, until the job is forgotten', async (t) => {
  const { spool } = await openSpool(t);
  const first = await spool.acceptInline(draft(), Buffer.from('x'));
  const about = { ...draft(), extract: 'tar' as const, filesTotal: 3 };
  const archive = await spool.acceptInline(about, Buffer.from('y'));
  const later = await spool.acceptInline(draft(), Buffer.from('z'));
  const failed: JobRecord = { ...archive, state: 'failed', finishedAt: 1, attempts: 1, attemptsTotal: 1 };
  const recording = spool.record(archive, failed, { placedKeys: [30, 10] });
  assert.ok(spool.isOvertaken([30], first.sequence), 'while it is being written');
  await recording;
  await spool.record(failed, { ...failed, attempts: 2 }, { placedKeys: [20] });
  for (const key of [10, 20, 30]) assert.ok(spool.isOvertaken([5, key], first.sequence), String(key));
  assert.ok(!spool.isOvertaken([5, 15, 35], first.sequence));
  for (const { sequence } of [archive, later]) assert.ok(!spool.isOvertaken([10, 20, 30], sequence));
});
