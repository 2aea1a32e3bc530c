import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WatchedJobs } from '../../src/cli/watched-jobs.ts';
import { jobNumber } from '../support/job.ts';

test('rates() are those of the last ten seconds, by what was delivered since', () => {
  const jobs = new WatchedJobs({}, 0);
  jobs.replace([jobNumber(1), jobNumber(2, { state: 'delivered' })], 0, 0);
  assert.deepEqual(jobs.rates(1000), { jobs: 0, bytes: 0 });
  const under = { state: 'delivering', attempts: 1 } as const;
  jobs.update(jobNumber(1, { ...under, bytesDelivered: 400, updatedAt: 1 }), 1000);
  assert.deepEqual(jobs.rates(2000), { jobs: 0, bytes: 200 });
  jobs.update(jobNumber(1, { state: 'delivered', attempts: 1, updatedAt: 2 }), 2000);
  assert.deepEqual(jobs.rates(2000), { jobs: 0.5, bytes: 500 });
  // Told once more it is not counted once more.
  jobs.update(jobNumber(1, { state: 'delivered', attempts: 1, updatedAt: 2 }), 2000);
  assert.deepEqual(jobs.rates(10_000), { jobs: 0.1, bytes: 100 });
  assert.deepEqual(jobs.rates(30_000), { jobs: 0, bytes: 0 });
});

test('update() leaves what is newer as it is', () => {
  const jobs = new WatchedJobs({}, 0);
  jobs.update(jobNumber(1, { state: 'delivered', updatedAt: 5 }), 0);
  jobs.update(jobNumber(1, { state: 'delivering', updatedAt: 4 }), 0);
  assert.equal(jobs.get(jobNumber(1).id)?.state, 'delivered');
});

test('replace() forgets what is not listed any more, but not what came after it was asked', () => {
  const jobs = new WatchedJobs({}, 0);
  jobs.update(jobNumber(1), 10);
  jobs.update(jobNumber(2), 30);
  jobs.replace([jobNumber(3)], 20, 40);
  assert.deepEqual(
    jobs.sorted(50).map(({ id }) => id),
    [2, 3].map((sequence) => jobNumber(sequence).id),
  );
});

test('only the jobs that are wanted are known', () => {
  const jobs = new WatchedJobs({ instance: 'db', project: 'default' }, 0);
  jobs.update(jobNumber(1), 0);
  jobs.update(jobNumber(2, { instance: 'db' }), 0);
  jobs.update(jobNumber(3, { instance: 'db', project: 'other' }), 0);
  assert.equal(jobs.sorted(0).length, 1);
});

test('lanes() counts by instance, sorted() puts first what is under way', () => {
  const jobs = new WatchedJobs({}, 0);
  const changes = [
    { state: 'delivered', finishedAt: 5 },
    { state: 'queued' },
    { state: 'deferred', nextAttemptAt: 900 },
    { state: 'deferred', nextAttemptAt: 100, instance: 'db' },
    { state: 'delivering' },
    { state: 'failed', finishedAt: 5 },
  ] as const;
  changes.forEach((change, index) => {
    jobs.update(jobNumber(index + 1, change), 10);
  });
  const order = (nowMs: number): number[] =>
    jobs.sorted(nowMs).map(({ path }) => Number(path.slice('/srv/'.length)));
  assert.deepEqual(order(10), [5, 4, 3, 6, 2, 1]);
  assert.deepEqual(order(1_000_000), [5, 4, 3, 2, 1, 6]);
  assert.deepEqual(jobs.lanes(), [
    { project: 'default', instance: 'web', delivering: 1, queued: 1, deferred: 1 },
    { project: 'default', instance: 'db', delivering: 0, queued: 0, deferred: 1 },
  ]);
});

test('of a queue without end only so many jobs are remembered', () => {
  const jobs = new WatchedJobs({}, 0);
  for (let sequence = 1; sequence <= 10_000; sequence += 1) {
    jobs.update(
      jobNumber(sequence, sequence % 2 === 0 ? {} : { state: 'delivered', finishedAt: sequence }),
      0,
    );
  }
  assert.ok(jobs.sorted(0).length <= 2400);
});
