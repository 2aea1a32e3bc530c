import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '../client/connection.ts';
import { type JobQuery, listJobs } from '../client/jobs.ts';
import { CodedError, messageOf } from '../errors.ts';
import type { Job } from '../protocol/job.ts';
import { wantsColor } from './color.ts';
import type { GlobalFlags } from './context.ts';
import { truncateEnd } from './display-width.ts';
import { formatJobTable } from './job-table.ts';
import { createPaint } from './printer.ts';

const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const ERASE_LINE = '\u001b[K';
const ERASE_BELOW = '\u001b[J';

/** Shows the list on a screen of its own until `q` is pressed, which resolves to 0, or the signal fires, which rejects. */
export async function watchJobs(
  connection: Connection,
  query: JobQuery,
  flags: GlobalFlags,
  interruption: AbortSignal,
  everyMs: number,
): Promise<number> {
  const keys = watchKeys();
  const signal = AbortSignal.any([interruption, keys.quit]);
  const out = process.stdout;
  const paint = createPaint(wantsColor(flags.color, out, process.env));
  let jobs: Job[] = [];
  let trouble = '';
  const draw = (): void => {
    const columns = out.columns || 80;
    const rows = out.rows || 24;
    const table = formatJobTable(jobs, paint, Date.now(), columns).slice(0, rows - 2);
    const foot = truncateEnd(
      trouble || `${jobs.length} jobs, ${new Date().toISOString()}, q leaves`,
      columns - 1,
    );
    const lines = [...table, paint.faint(foot)];
    out.write(HOME + lines.map((line) => line + ERASE_LINE).join('\r\n') + ERASE_BELOW);
  };
  out.write(ENTER);
  out.on('resize', draw);
  try {
    while (!signal.aborted) {
      try {
        const next: Job[] = [];
        for await (const job of listJobs(
          connection,
          { ...query, limit: Math.min(query.limit ?? 50, out.rows || 24) },
          { signal },
        )) {
          next.push(job);
        }
        jobs = next;
        trouble = '';
      } catch (error) {
        if (signal.aborted) break;
        if (!(error instanceof CodedError) || error.code !== 'daemon_unreachable') throw error;
        trouble = messageOf(error);
      }
      draw();
      await sleep(everyMs, undefined, { signal }).catch(() => undefined);
    }
    interruption.throwIfAborted();
    if (keys.interrupted()) throw new CodedError('interrupted');
    return 0;
  } finally {
    keys.stop();
    out.off('resize', draw);
    out.write(LEAVE);
  }
}

const CTRL_C = '\u0003';

/** Single keys, where standard input is a terminal. They come unechoed, and Ctrl-C comes as a key too. */
function watchKeys(): { readonly quit: AbortSignal; interrupted(): boolean; stop(): void } {
  const controller = new AbortController();
  const { stdin } = process;
  let interrupted = false;
  const press = (key: Buffer): void => {
    const text = key.toString();
    interrupted = text.includes(CTRL_C);
    if (interrupted || /[qQ]/.test(text)) controller.abort();
  };
  if (stdin.isTTY) {
    stdin.setRawMode(true);
    stdin.on('data', press);
  }
  return {
    quit: controller.signal,
    interrupted: () => interrupted,
    stop: () => {
      if (!stdin.isTTY) return;
      stdin.off('data', press);
      stdin.setRawMode(false);
      stdin.pause();
    },
  };
}
