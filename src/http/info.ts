/** GET /v1/info, /healthz and /readyz. */
import type { ServerResponse } from 'node:http';
import type { AppContext } from './app-context.ts';
import type { Access } from './authenticate.ts';
import type { Caller } from './caller.ts';
import { sendJson, sendText } from './respond.ts';

/** Sums over all jobs are null for who may not see all jobs. */
export function getInfo(context: AppContext, caller: Caller, res: ServerResponse): void {
  const { spool, queue, limits, stats } = context;
  const { circuit } = queue;
  const since = circuit.openSinceMs;
  sendJson(res, 200, {
    version: context.version,
    started_at: new Date(context.startedAtMs).toISOString(),
    target: context.target,
    reachable: circuit.reason === undefined,
    unreachable_reason: circuit.reason ?? null,
    unreachable_since: since === undefined ? null : new Date(since).toISOString(),
    draining: context.closing,
    limits: {
      max_upload_size: caller.maxUploadSizeBytes(limits.maxUploadSizeBytes),
      max_queued_jobs: limits.maxQueuedJobs,
      max_uploads: limits.maxUploads,
      min_free_space: spool.disk.minFreeBytes,
    },
    uploads: caller.isLimited ? null : stats.uploadsUnderWay,
    jobs: caller.isLimited ? null : countJobs(context),
    free_bytes: caller.isLimited ? null : spool.disk.freeBytes(),
  });
}

/** Jobs by state. */
export function countJobs({ spool, queue }: AppContext): Record<string, number> {
  return { ...queue.active.counts(), ...spool.countFinished() };
}

/** Alive: the process answers. */
export function getHealth(_context: AppContext, res: ServerResponse): void {
  sendText(res, 200, 'ok\n');
}

/** Ready: recovered, the spool takes uploads. Incus being away is told but is no reason to send senders away. */
export function getReady(context: AppContext, res: ServerResponse, access: Access): void {
  const reason = context.closing ? 'stopping' : context.spool.disk.hasRoomFor(0) ? undefined : 'disk low';
  if (reason !== undefined) {
    sendText(res, 503, `not ready: ${reason}\n`, { 'Retry-After': '2' });
    return;
  }
  const away = context.queue.circuit.reason;
  // The reason names what is behind the daemon.
  const why = away === undefined || access === 'closed' ? '' : `: ${away.replace(/\s+/g, ' ')}`;
  sendText(res, 200, away === undefined ? 'ready\n' : `ready; deliveries wait${why}\n`);
}
