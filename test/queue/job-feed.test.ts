import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JobFeed } from '../../src/queue/job-feed.ts';

test('JobFeed.since() gives the changes after a number, oldest first', () => {
  const feed = new JobFeed(1000);
  const start = feed.latest;
  assert.deepEqual(feed.since(start), []);
  feed.publish(7, 'queued');
  feed.publish(8, 'queued');
  feed.publish(7, 'delivering');
  assert.equal(feed.latest, start + 3);
  const states = feed.since(start)?.map(({ sequence, state }) => `${sequence} ${state}`);
  assert.deepEqual(states, ['7 queued', '8 queued', '7 delivering']);
  assert.deepEqual(
    feed.since(start + 2)?.map(({ number }) => number),
    [start + 3],
  );
  assert.deepEqual(feed.since(start + 3), []);
});

test('JobFeed.since() knows no number of another run, nor one to come', () => {
  const feed = new JobFeed(1000);
  assert.equal(feed.since(feed.latest - 1), undefined);
  feed.publish(7, 'queued');
  assert.equal(feed.since(feed.latest + 1), undefined);
  assert.equal(new JobFeed(2000).since(feed.latest), undefined);
});

test('JobFeed.since() keeps the last 8192 changes and knows which it lost', () => {
  const feed = new JobFeed(0);
  for (let sequence = 1; sequence <= 8192 + 10; sequence += 1) feed.publish(sequence, 'queued');
  const kept = feed.since(10);
  assert.equal(kept?.length, 8192);
  assert.equal(kept?.[0]?.sequence, 11);
  assert.equal(kept?.at(-1)?.sequence, 8202);
  assert.equal(feed.since(9), undefined);
});

test('JobFeed.watch() and watchJob() tell of changes until they are stopped', () => {
  const feed = new JobFeed(0);
  const all: string[] = [];
  let ofSeven = 0;
  const stopAll = feed.watch(({ sequence, state }) => all.push(`${sequence} ${state}`));
  const stopSeven = feed.watchJob(7, () => {
    ofSeven += 1;
    stopSeven();
  });
  const stopOther = feed.watchJob(7, () => {
    ofSeven += 10;
  });
  feed.publish(7, 'queued');
  feed.publish(8, 'queued');
  assert.equal(ofSeven, 11);
  stopOther();
  stopAll();
  feed.publish(7, 'delivered');
  assert.equal(ofSeven, 11);
  assert.deepEqual(all, ['7 queued', '8 queued']);
  stopOther();
});
