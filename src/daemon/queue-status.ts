type Counts = { readonly queued: number; readonly delivering: number; readonly deferred: number };

/** The queue in a line, as `systemctl status` shows it; `away` is why Incus cannot be reached. */
export function formatQueueStatus(counts: Counts, away: string | undefined): string {
  const { queued, delivering, deferred } = counts;
  const total = queued + delivering + deferred;
  const jobs =
    total === 0
      ? '0 jobs queued'
      : `${total} ${total === 1 ? 'job' : 'jobs'} queued (${delivering} being delivered, ${deferred} to be tried again)`;
  return away === undefined ? jobs : `${jobs}; deliveries wait: ${away}`;
}
