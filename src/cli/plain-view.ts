import { formatSize } from '../base/size.ts';
import type { Output } from './output.ts';
import { printable } from './output.ts';
import { describeTransfer, type Transfer, type TransferView } from './transfer.ts';

const REPORT_EVERY_MS = 10_000;

/** Transfers as plain lines on standard error: one a change of state, and one every ten seconds of a long upload. */
export function createPlainView(
  output: Output,
  options: { readonly reports: boolean; readonly now: () => number; readonly wall: () => number },
): TransferView {
  const lines = new Map<Transfer, string>();
  const reported = new Map<Transfer, number>();
  return {
    changed(transfer) {
      // A refusal is said by the error line alone.
      if (transfer.phase === 'refused') return;
      const state = stateOf(transfer);
      if (lines.get(transfer) === state) return;
      lines.set(transfer, state);
      if (transfer.phase === 'pending') return;
      const words = describeTransfer(transfer, options.now(), options.wall());
      output.err(printable(`${transfer.name}: ${words}`));
    },
    progressed(transfer) {
      if (!options.reports) return;
      const now = options.now();
      const last = reported.get(transfer) ?? transfer.startedAtMs;
      if (now - last < REPORT_EVERY_MS) return;
      reported.set(transfer, now);
      output.err(printable(`${transfer.name}: ${describeBytes(transfer, now)}`));
    },
    close: () => undefined,
  };
}

/** What makes a line worth printing: not the number of jobs ahead, which changes all the time. */
function stateOf({ phase, job, retryAtMs }: Transfer): string {
  if (phase === 'retrying') return `${phase} ${retryAtMs}`;
  return job === undefined ? phase : `${phase} ${job.state} ${job.attempts}`;
}

function describeBytes({ bytesSent, sizeBytes, startedAtMs }: Transfer, nowMs: number): string {
  const rate = `${formatSize((bytesSent * 1000) / Math.max(1, nowMs - startedAtMs))}/s`;
  if (sizeBytes === undefined) return `sent ${formatSize(bytesSent)} (${rate})`;
  const percent = sizeBytes === 0 ? 100 : Math.floor((bytesSent * 100) / sizeBytes);
  return `sent ${percent}%, ${formatSize(bytesSent)} of ${formatSize(sizeBytes)} (${rate})`;
}
