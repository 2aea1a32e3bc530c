import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { decodeJob } from '../../src/protocol/job-wire.ts';
import { EventStream, type StreamEvent } from './event-stream.ts';
import { eventually, type Harness, openHarness } from './harness.ts';
import { request, upload } from './request.ts';

let daemon: Harness;
let streams: EventStream[] = [];
before(async () => {
  daemon = await openHarness();
});
after(() => daemon.close());
afterEach(async () => {
  daemon.target.behave('deliver');
  for (const stream of streams) stream.close();
  streams = [];
  await eventually('nobody watches', () => daemon.context.waiting.size === 0);
  await eventually('nothing is under way', () => daemon.context.spool.live.size === 0);
});

async function open(query = '', headers: Record<string, string> = {}): Promise<EventStream> {
  const stream = await EventStream.open(daemon.port, query, headers);
  streams.push(stream);
  return stream;
}

async function push(path: string): Promise<string> {
  const answer = await upload(daemon.port, 'web', path, 'content');
  return String(answer.headers['x-job-id']);
}

const jobOf = (event: StreamEvent | undefined): { id: string; state: string } => {
  assert.equal(event?.event, 'job');
  return decodeJob(JSON.parse(event?.data ?? ''));
};

test('GET /v1/events is an event stream with one event per change, with growing ids', async () => {
  const stream = await open();
  daemon.target.behave('hold');
  const id = await push('/tmp/events');
  await stream.until(2);
  daemon.target.behave('deliver');
  const events = await stream.until(3);
  assert.deepEqual(
    events.map((event) => [jobOf(event).id, jobOf(event).state]),
    [
      [id, 'queued'],
      [id, 'delivering'],
      [id, 'delivered'],
    ],
  );
  const numbers = events.map((event) => Number(event.id));
  assert.deepEqual(numbers, numbers.toSorted());
  assert.equal(new Set(numbers).size, 3);
});

test('GET /v1/events says what it is', async () => {
  const answer = await request(daemon.port, 'HEAD', '/v1/events');
  assert.equal(answer.headers['content-type'], 'text/event-stream');
  assert.equal(answer.headers['cache-control'], 'no-store');
});

test('GET /v1/events?job=ID starts with the present state and tells of that job alone', async () => {
  daemon.target.behave('hold');
  const id = await push('/tmp/mine');
  const stream = await open(`?job=${id}`);
  await stream.until(1);
  await push('/tmp/other');
  daemon.target.behave('deliver');
  await stream.connection.until(
    () => stream.events.some((event) => jobOf(event).state === 'delivered'),
    'the end of the job',
  );
  assert.ok(stream.events.every((event) => jobOf(event).id === id));
});

test('GET /v1/events?job=ID of no job is 404', async () => {
  assert.equal((await request(daemon.port, 'GET', '/v1/events?job=0000000000a')).status, 404);
  assert.equal((await request(daemon.port, 'GET', '/v1/events?job=odd')).status, 404);
});

test('GET /v1/events goes on after Last-Event-ID, losing nothing and repeating nothing', async () => {
  const first = await open();
  const ids = [await push('/tmp/1'), await push('/tmp/2')];
  await first.until(6);
  const [, third] = [first.events[0], first.events[2]];
  first.close();
  ids.push(await push('/tmp/3'));
  const resumed = await open('', { 'Last-Event-ID': third?.id ?? '' });
  const rest = await resumed.until(6);
  assert.deepEqual(
    rest.slice(0, 3).map((event) => event.id),
    first.events.slice(3, 6).map((event) => event.id),
  );
  assert.equal(jobOf(rest[5]).id, ids[2]);
});

test('GET /v1/events says reset when what followed Last-Event-ID is not kept', async () => {
  const id = await push('/tmp/f');
  for (const last of ['1', '9999999999999999']) {
    const stream = await open('', { 'Last-Event-ID': last });
    const [reset] = await stream.until(1);
    assert.equal(reset?.event, 'reset');
    const ofJob = await open(`?job=${id}`, { 'Last-Event-ID': last });
    const [, job] = await ofJob.until(2);
    assert.equal(jobOf(job).id, id);
  }
  const odd = await open(`?job=${id}`, { 'Last-Event-ID': 'x; y' });
  assert.equal(jobOf((await odd.until(1))[0]).id, id);
});

test('GET /v1/events ends, and stays quiet, when the daemon stops', async () => {
  const stream = await open();
  const slow = await open();
  slow.connection.socket.pause();
  for (const end of [...daemon.context.waiting]) end();
  await push('/tmp/late');
  await stream.connection.untilClosed();
  assert.equal(stream.events.length, 0);
});

test('GET /v1/events lets a slow reader catch up instead of keeping what it does not read', async () => {
  const stream = await open();
  stream.connection.socket.pause();
  const count = 400;
  for (let i = 0; i < count; i += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, j) => push(`/tmp/${'n'.repeat(200)}/${i + j}`)));
  }
  await eventually('all is delivered', () => daemon.context.spool.live.size === 0);
  stream.connection.socket.resume();
  await stream.until(count * 3);
  const numbers = stream.events.map((event) => Number(event.id));
  assert.equal(new Set(numbers).size, count * 3);
});
