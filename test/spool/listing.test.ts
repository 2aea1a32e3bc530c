import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JOB_STATES, type JobState } from '../../src/protocol/job.ts';
import type { JobRecord } from '../../src/spool/job-record.ts';
import { type ListQuery, listJobs } from '../../src/spool/listing.ts';
import type { Spool } from '../../src/spool/spool.ts';
import { deliver, draft, openSpool, settle } from './spool-builder.ts';

const INSTANCES = ['a', 'b', 'ab'] as const;
const PROJECTS = ['default', 'other', 'default2'] as const;

type Model = { readonly record: JobRecord; readonly state: JobState };

async function fill(spool: Spool, states: readonly JobState[]): Promise<Model[]> {
  const model: Model[] = [];
  for (const [i, state] of states.entries()) {
    const about = draft({
      instance: INSTANCES[(i * 7) % 3] ?? 'a',
      project: PROJECTS[(i * 5 + (i >> 2)) % 3] ?? 'default',
      path: `/p${i}`,
    });
    const record = await spool.acceptInline(about, Buffer.from('x'));
    if (state === 'delivered') await deliver(spool, record);
    else if (state !== 'queued' && state !== 'delivering') await settle(spool, record, state);
    model.unshift({ record, state });
  }
  return model;
}

function expected(model: readonly Model[], { state, instance, project }: Partial<ListQuery>): number[] {
  return model
    .filter((one) => state === undefined || one.state === state)
    .filter(({ record }) => instance === undefined || record.instance === instance)
    .filter(({ record }) => project === undefined || record.project === project)
    .map(({ record }) => record.sequence);
}

function pages(spool: Spool, query: Partial<ListQuery>, delivering: Set<number>, limit: number): number[] {
  const found: number[] = [];
  let before: number | undefined;
  for (;;) {
    const full = { state: undefined, instance: undefined, project: undefined, ...query, limit, before };
    const page = listJobs(spool, full, delivering);
    assert.ok(page.records.length <= limit);
    found.push(...page.records.map(({ sequence }) => sequence));
    if (page.next === null) return found;
    assert.ok(before === undefined || page.next < before, 'the cursor goes on');
    before = page.next;
  }
}

test('listJobs() gives in pages what a plain filter gives', async (t) => {
  const { spool } = await openSpool(t);
  const states = fc.sample(fc.constantFrom(...JOB_STATES), { numRuns: 120, seed: 7 });
  const model = await fill(spool, states);
  const delivering = new Set(expected(model, { state: 'delivering' }));
  const query = fc.record(
    {
      state: fc.constantFrom(...JOB_STATES),
      instance: fc.constantFrom(...INSTANCES, 'none'),
      project: fc.constantFrom(...PROJECTS, 'none'),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(query, fc.integer({ min: 1, max: 50 }), (asked, limit) => {
      assert.deepEqual(pages(spool, asked, delivering, limit), expected(model, asked));
    }),
    { numRuns: 300 },
  );
});

test('listJobs() asks who may see a job', async (t) => {
  const { spool } = await openSpool(t);
  const model = await fill(
    spool,
    Array.from({ length: 20 }, () => 'queued' as const),
  );
  const query = { state: undefined, instance: undefined, project: undefined, limit: 100, before: undefined };
  const page = listJobs(spool, query, new Set(), ({ instance }) => instance === 'b');
  assert.deepEqual(
    page.records.map(({ sequence }) => sequence),
    expected(model, { instance: 'b' }),
  );
});

test('listJobs() ends a page after a bounded walk, and goes on from there', async (t) => {
  const { spool } = await openSpool(t);
  const first = await spool.acceptInline(draft({ project: 'rare' }), Buffer.from('x'));
  await Promise.all(Array.from({ length: 5200 }, () => spool.acceptInline(draft(), Buffer.from('x'))));
  const query = { state: undefined, instance: undefined, project: 'rare', limit: 10, before: undefined };
  const page = listJobs(spool, query, new Set());
  assert.deepEqual(page.records, []);
  assert.ok(page.next !== null);
  assert.deepEqual(
    listJobs(spool, { ...query, before: page.next }, new Set()).records.map(({ sequence }) => sequence),
    [first.sequence],
  );
});

test('a page that was not read to its end does not keep old pages of the journal', async (t) => {
  const { spool } = await openSpool(t);
  await fill(
    spool,
    Array.from({ length: 60 }, () => 'queued' as const),
  );
  const query = { state: undefined, instance: 'a', project: undefined, limit: 1, before: undefined };
  for (let i = 0; i < 200; i += 1) listJobs(spool, query, new Set());
  // lmdb has 126 places for readers; cursors left open would have used them up.
  assert.equal(listJobs(spool, query, new Set()).records.length, 1);
});
