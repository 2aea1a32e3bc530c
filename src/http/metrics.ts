/** GET /metrics in Prometheus' text format. Values are read when they are asked for. */
import type { ServerResponse } from 'node:http';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { AppContext } from './app-context.ts';
import { ForbiddenError } from './auth-error.ts';
import type { Caller } from './caller.ts';
import { countJobs } from './info.ts';

export function createMetrics(context: AppContext): Registry {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const { stats, queue, spool } = context;

  const counter = (name: string, help: string, value: () => number): void => {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(value());
      },
    });
  };
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  };

  counter('incus_upload_uploads_accepted_total', 'Uploads answered with 202.', () => stats.uploadsAccepted);
  counter(
    'incus_upload_upload_bytes_accepted_total',
    'Bytes of accepted uploads.',
    () => stats.uploadBytesAccepted,
  );
  counter(
    'incus_upload_uploads_replayed_total',
    'Uploads answered from an Idempotency-Key.',
    () => stats.uploadsReplayed,
  );
  counter(
    'incus_upload_uploads_aborted_total',
    'Uploads whose sender went away.',
    () => stats.uploadsAborted,
  );
  new Counter({
    name: 'incus_upload_uploads_refused_total',
    help: 'Uploads refused, by error code.',
    labelNames: ['code'],
    registers,
    collect() {
      this.reset();
      for (const [code, count] of stats.refusedByCode) this.inc({ code }, count);
    },
  });
  new Counter({
    name: 'incus_upload_attempts_total',
    help: 'Delivery attempts that ended, by outcome.',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset();
      for (const [outcome, count] of Object.entries(queue.totals.attempts)) this.inc({ outcome }, count);
    },
  });
  counter(
    'incus_upload_delivered_bytes_total',
    'Bytes of delivered files.',
    () => queue.totals.deliveredBytes,
  );
  gauge('incus_upload_uploads', 'Uploads whose body is arriving.', () => stats.uploadsUnderWay);
  new Gauge({
    name: 'incus_upload_jobs',
    help: 'Jobs by state.',
    labelNames: ['state'],
    registers,
    collect() {
      for (const [state, count] of Object.entries(countJobs(context))) this.set({ state }, count);
    },
  });
  gauge('incus_upload_target_reachable', 'Whether Incus answers.', () =>
    queue.circuit.reason === undefined ? 1 : 0,
  );
  gauge('incus_upload_free_bytes', 'Free bytes of the state directory.', () => spool.disk.freeBytes());
  return registry;
}

export async function getMetrics(registry: Registry, caller: Caller, res: ServerResponse): Promise<void> {
  if (caller.isLimited)
    throw new ForbiddenError('The metrics are sums over all jobs; this token allows some');
  const body = Buffer.from(await registry.metrics());
  res.writeHead(200, { 'Content-Type': registry.contentType, 'Content-Length': body.length });
  res.end(body);
}
