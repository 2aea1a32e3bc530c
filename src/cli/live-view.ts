import { ByteMeter } from '../base/byte-meter.ts';
import { wantsColor } from './color.ts';
import type { GlobalFlags } from './context.ts';
import { type Output, printable } from './output.ts';
import { createPaint, openLiveArea } from './printer.ts';
import { formatProgressRows, formatWords, type Progress, type ProgressRow } from './progress-lines.ts';
import {
  describeFiles,
  describeTransfer,
  isLost,
  isOver,
  type Transfer,
  type TransferView,
} from './transfer.ts';

const TICK_MS = 100;
const MAX_LINES = 8;
/** So that the numbers stay where they are when a short name comes or goes. */
const TOTAL_NAME_COLUMNS = 22;

/** How much there is to send in all; bytes are those of files, as their sizes were at the start. */
export type Totals = { readonly files: number; readonly bytes: number };

/** Transfers as lines that are redrawn in place at the foot of the terminal; what is over goes up and stays. */
export function openLiveView(
  output: Output,
  flags: GlobalFlags,
  totals: Totals,
  clocks: { readonly now: () => number; readonly wall: () => number },
): TransferView {
  const stream = process.stderr;
  const color = wantsColor(flags.color, stream, process.env);
  const paint = createPaint(color);
  const active = new Set<Transfer>();
  const meters = new Map<Transfer, { phase: string; meter: ByteMeter }>();
  /** From the first byte on, as a start from nothing would make the rate too low for long. */
  let all: ByteMeter | undefined;
  const seen = new Map<Transfer, number>();
  let over = 0;

  const bytesOf = (transfer: Transfer): number =>
    transfer.phase === 'accepted' ? (transfer.job?.bytesDelivered ?? 0) : transfer.bytesSent;

  const meterOf = (transfer: Transfer): ByteMeter | undefined => {
    const phase = transfer.phase === 'accepted' ? `job ${transfer.job?.attempts}` : transfer.phase;
    const bytes = bytesOf(transfer);
    let entry = meters.get(transfer);
    if (entry !== undefined && (entry.phase !== phase || entry.meter.bytes > bytes)) entry = undefined;
    if (entry === undefined && bytes > 0) {
      entry = { phase, meter: new ByteMeter(clocks.now() - TICK_MS) };
      meters.set(transfer, entry);
    }
    entry?.meter.add(bytes - entry.meter.bytes);
    return entry?.meter;
  };

  /** Numbers, or words where there are none. */
  const rowOf = (transfer: Transfer, columns: number): ProgressRow | string => {
    const now = clocks.now();
    const name = printable(transfer.name);
    const delivering = transfer.phase === 'accepted' && transfer.job?.state === 'delivering';
    if (transfer.phase !== 'sending' && !(delivering && bytesOf(transfer) > 0)) {
      return formatWords(name, printable(describeTransfer(transfer, now, clocks.wall())), columns);
    }
    const verb = [delivering ? 'delivering' : '', describeFiles(transfer)].filter((text) => text !== '');
    const progress = progressOf(meterOf(transfer), transfer.sizeBytes, now);
    return { name, verb: verb.join(' '), progress };
  };

  const totalRow = (columns: number): ProgressRow => {
    const name = columns < 60 ? 'total' : `total, ${over} of ${totals.files} files`;
    const totalBytes = Math.max(totals.bytes, all?.bytes ?? 0);
    return { name, verb: '', progress: progressOf(all, totalBytes, clocks.now()) };
  };

  const lines = (columns: number, rows: number): string[] => {
    const room = Math.max(1, Math.min(MAX_LINES, rows - 3));
    const sending = [...active].filter(({ phase }) => phase !== 'accepted' && phase !== 'pending');
    const waiting = [...active].filter(({ phase }) => phase === 'accepted');
    const several = totals.files > 1 && active.size > 0;
    const shown = [...sending, ...waiting].slice(0, room).map((transfer) => rowOf(transfer, columns));
    if (several) shown.push(totalRow(columns));
    const numbered = shown.filter((row) => typeof row !== 'string');
    const formatted = formatProgressRows(numbered, columns, several ? TOTAL_NAME_COLUMNS : 0).values();
    return shown.map((row) => (typeof row === 'string' ? row : (formatted.next().value ?? '')));
  };
  const area = openLiveArea(stream, color, lines);

  const finish = (transfer: Transfer): void => {
    active.delete(transfer);
    meters.delete(transfer);
    if (transfer.part !== true) over += 1;
    const { job, phase, batch } = transfer;
    if (batch === undefined) {
      if (phase === 'refused' || job === undefined || isLost(job.state)) return;
      // Without --wait, standard output says it already, where it is seen.
      if (job.state !== 'delivered' && process.stdout.isTTY) return;
    }
    const words = printable(describeTransfer(transfer, clocks.now(), clocks.wall()));
    output.err(`${paint.good('✔')} ${paint.strong(printable(transfer.name))}: ${words}`);
  };

  const count = (transfer: Transfer): void => {
    const before = seen.get(transfer) ?? 0;
    if (transfer.bytesSent > before) {
      all ??= new ByteMeter(clocks.now() - TICK_MS);
      all.add(transfer.bytesSent - before);
      seen.set(transfer, transfer.bytesSent);
    }
  };

  return {
    changed(transfer) {
      count(transfer);
      if (isOver(transfer)) finish(transfer);
      else active.add(transfer);
      area.refresh();
    },
    progressed: count,
    close() {
      area.stop();
    },
  };
}

function progressOf(meter: ByteMeter | undefined, totalBytes: number | undefined, nowMs: number): Progress {
  const bytes = meter?.bytes ?? 0;
  const whole = totalBytes !== undefined && bytes >= totalBytes;
  return {
    bytes,
    totalBytes,
    rate: meter?.rate(nowMs) ?? 0,
    timeLeftMs: totalBytes === undefined || whole ? undefined : meter?.timeLeftMs(totalBytes, nowMs),
  };
}
