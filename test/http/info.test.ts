import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, type Harness, openHarness } from './harness.ts';
import { request, upload } from './request.ts';

let daemon: Harness;
before(async () => {
  daemon = await openHarness({ limits: { maxUploadSizeBytes: 1 << 20, maxUploads: 7, maxQueuedJobs: 9 } });
});
after(() => daemon.close());

test('GET /v1/info tells version, target, limits, counts and free bytes', async () => {
  const answer = await request(daemon.port, 'GET', '/v1/info');
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'application/json');
  const { started_at, free_bytes, ...info } = JSON.parse(answer.text);
  assert.match(started_at, /^\d{4}-.*Z$/);
  assert.ok(Number.isSafeInteger(free_bytes) && free_bytes > 0);
  assert.deepEqual(info, {
    version: '0.0.0-test',
    target: 'memory',
    reachable: true,
    unreachable_reason: null,
    unreachable_since: null,
    draining: false,
    limits: { max_upload_size: 1 << 20, max_queued_jobs: 9, max_uploads: 7, min_free_space: 0 },
    uploads: 0,
    jobs: { queued: 0, deferred: 0, delivering: 0, delivered: 0, failed: 0, cancelled: 0 },
  });
});

test('GET /v1/info and /readyz tell that Incus is away, and uploads are still taken', async () => {
  daemon.target.behave('away');
  assert.equal((await upload(daemon.port, 'web', '/tmp/f', 'x')).status, 202);
  const info = async (): Promise<Record<string, unknown>> =>
    JSON.parse((await request(daemon.port, 'GET', '/v1/info')).text);
  await eventually('it is noticed', async () => (await info()).reachable === false);
  const away = await info();
  assert.match(String(away.unreachable_since), /^\d{4}-.*Z$/);
  assert.equal(typeof away.unreachable_reason, 'string');
  const ready = await request(daemon.port, 'GET', '/readyz');
  assert.equal(ready.status, 200);
  assert.match(ready.text, /^ready; deliveries wait: [^\n]+\n$/);
  const job = async (): Promise<{ state: string; attempts: number }> =>
    JSON.parse((await request(daemon.port, 'GET', '/v1/jobs')).text).jobs[0];
  await eventually('the attempt was none', async () => (await job()).state === 'queued');
  assert.equal((await job()).attempts, 0);
  daemon.target.behave('deliver');
  await eventually('deliveries go on', () => daemon.target.files.has('web:/tmp/f'));
  await eventually('it is told', async () => (await info()).reachable === true);
  await eventually('it is written down', () => daemon.context.spool.live.size === 0);
});

test('GET /healthz and /readyz answer ok; /readyz is 503 when the daemon stops or its disk is low', async () => {
  assert.equal((await request(daemon.port, 'GET', '/healthz')).text, 'ok\n');
  const ready = await request(daemon.port, 'GET', '/readyz');
  assert.deepEqual([ready.status, ready.text], [200, 'ready\n']);
  daemon.context.spool.disk.reserve(Number.MAX_SAFE_INTEGER);
  const low = await request(daemon.port, 'GET', '/readyz');
  daemon.context.spool.disk.release(Number.MAX_SAFE_INTEGER);
  assert.deepEqual([low.status, low.text], [503, 'not ready: disk low\n']);
  daemon.context.closing = true;
  const stopping = await request(daemon.port, 'GET', '/readyz');
  daemon.context.closing = false;
  assert.deepEqual([stopping.status, stopping.text], [503, 'not ready: stopping\n']);
  assert.ok(Number(stopping.headers['retry-after']) >= 1);
});

/** Samples by name with labels, and the types, of Prometheus' text format; throws at what it does not allow. */
function parseMetrics(text: string): { samples: Map<string, number>; types: Map<string, string> } {
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  const helped = new Set<string>();
  assert.ok(text.endsWith('\n'));
  for (const line of text.trimEnd().split('\n')) {
    if (line === '') continue;
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary)$/.exec(line);
    if (help?.[1] !== undefined) {
      assert.ok(!helped.has(help[1]), `HELP of ${help[1]} twice`);
      helped.add(help[1]);
    } else if (type?.[1] !== undefined) {
      assert.ok(!types.has(type[1]), `TYPE of ${type[1]} twice`);
      types.set(type[1], type[2] ?? '');
    } else {
      const label = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\"n])*"';
      const sample = new RegExp(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\\{${label}(?:,${label})*\\})? (\\S+)$`).exec(
        line,
      );
      assert.ok(sample !== null, `Not a sample: ${line}`);
      const [, name = '', labels = '', value = ''] = sample;
      assert.ok(value === 'NaN' || !Number.isNaN(Number(value)), line);
      assert.ok(!samples.has(name + labels), `${name}${labels} twice`);
      assert.ok(
        types.has(name.replace(/_(?:bucket|sum|count)$/, '')) || types.has(name),
        `no TYPE of ${name}`,
      );
      samples.set(name + labels, Number(value));
    }
  }
  for (const [name, type] of types) {
    if (type === 'counter') assert.match(name, /_total$/);
    assert.ok(helped.has(name), `no HELP of ${name}`);
  }
  return { samples, types };
}

test('GET /metrics is what Prometheus reads, and counts what happens', async () => {
  const read = async (): Promise<Map<string, number>> => {
    const answer = await request(daemon.port, 'GET', '/metrics');
    assert.equal(answer.status, 200);
    assert.match(String(answer.headers['content-type']), /^text\/plain; version=0\.0\.4/);
    return parseMetrics(answer.text).samples;
  };
  const before = await read();
  await upload(daemon.port, 'web', '/tmp/m', 'twelve bytes', { 'Idempotency-Key': 'k' });
  await upload(daemon.port, 'web', '/tmp/m', 'twelve bytes', { 'Idempotency-Key': 'k' });
  await upload(daemon.port, 'web', 'relative', 'x');
  await eventually('it is delivered', () => daemon.target.files.has('web:/tmp/m'));
  await eventually('it is written down', () => daemon.context.spool.live.size === 0);
  const after = await read();
  const grown = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  assert.equal(grown('incus_upload_uploads_accepted_total'), 1);
  assert.equal(grown('incus_upload_upload_bytes_accepted_total'), 12);
  assert.equal(grown('incus_upload_uploads_replayed_total'), 1);
  assert.equal(grown('incus_upload_uploads_refused_total{code="bad_request"}'), 1);
  assert.equal(grown('incus_upload_attempts_total{outcome="delivered"}'), 1);
  assert.equal(grown('incus_upload_delivered_bytes_total'), 12);
  assert.equal(grown('incus_upload_jobs{state="delivered"}'), 1);
  assert.equal(after.get('incus_upload_uploads'), 0);
  assert.equal(after.get('incus_upload_target_reachable'), 1);
  assert.ok((after.get('process_resident_memory_bytes') ?? 0) > 0);
});
