import type { GlobalFlags } from './context.ts';
import type { Totals } from './live-view.ts';
import { monotonicMs } from './monotonic-clock.ts';
import type { Output } from './output.ts';
import { createPlainView } from './plain-view.ts';
import type { TransferView } from './transfer.ts';

const SILENT: TransferView = {
  changed: () => undefined,
  progressed: () => undefined,
  close: () => undefined,
};

/** The view that flags, terminal and environment call for: drawn, plain lines, or nothing. */
export async function openView(
  output: Output,
  flags: GlobalFlags,
  totals: () => Totals,
): Promise<TransferView> {
  if (flags.quiet || flags.json) return SILENT;
  const clocks = { now: monotonicMs, wall: () => Date.now() };
  if (flags.progress && canDraw(process.stderr, process.env)) {
    const { openLiveView } = await import('./live-view.ts');
    return openLiveView(output, flags, totals(), clocks);
  }
  return createPlainView(output, { ...clocks, reports: flags.progress });
}

/** Whether lines can be redrawn on a stream. */
export function canDraw(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && env.TERM !== 'dumb' && !env.CI;
}
