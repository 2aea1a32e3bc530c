/** What `jobs --watch` shows, as lines for a screen of some size. */
import { formatDuration } from '../base/duration.ts';
import { formatSize } from '../base/size.ts';
import type { DaemonInfo } from '../client/info.ts';
import { isFinished, JOB_STATES, type Job, type JobState } from '../protocol/job.ts';
import { type Column, formatColumns } from './columns.ts';
import { displayWidth, padEnd, truncateEnd } from './display-width.ts';
import { destinationOf, pathOf } from './job-line.ts';
import { printable } from './output.ts';
import type { Paint } from './printer.ts';
import type { ScreenSize } from './screen.ts';
import { formatCount, formatFiles } from './transfer.ts';
import type { LaneCount, Rates, WatchedJobs } from './watched-jobs.ts';

export type Watched = {
  readonly address: string;
  readonly jobs: WatchedJobs;
  /** Undefined until the daemon has told. */
  readonly info: DaemonInfo | undefined;
  readonly state: JobState | undefined;
  /** The job that the keys act on. */
  readonly chosen: string | undefined;
  /** How many jobs stand above the first that is shown. */
  readonly above: number;
  /** A question or an answer, in place of the keys. */
  readonly foot: string | undefined;
  readonly trouble: string | undefined;
};

export const KEYS_HELP = '↑↓ select  c cancel  r retry  q leave';

const LANE_COLUMNS: readonly Column[] = [
  { heading: 'INSTANCE', cut: 'end', shrinks: { turn: 1, least: 6 } },
  { heading: 'RUNNING', right: true },
  { heading: 'QUEUED', right: true },
  { heading: 'DEFERRED', right: true },
];

const JOB_COLUMNS: readonly Column[] = [
  { heading: 'ID', goes: 4 },
  { heading: 'AGE', right: true, goes: 3 },
  { heading: 'STATE', cut: 'end' },
  { heading: 'INSTANCE', cut: 'end', shrinks: { turn: 3, least: 8 } },
  { heading: 'PATH', cut: 'start', shrinks: { turn: 2, least: 12 } },
  { heading: 'SIZE', right: true, goes: 2 },
  { heading: 'TRIES', right: true, goes: 5 },
  // Of the chosen job it stands at the foot as well.
  { heading: 'REASON', cut: 'end', shrinks: { turn: 1, least: 24 }, goes: 1 },
];

/** The parts of the screen; the jobs get the rows that are left, which is what scrolling has to know. */
export function layOutWatch(
  watched: Watched,
  { columns, rows }: ScreenSize,
  paint: Paint,
  nowMs: number,
): { readonly lines: string[]; readonly jobRows: number } {
  const width = columns - 1;
  const head = headLines(watched, width, paint, nowMs);
  const lanes = laneLines(watched.jobs.lanes(), columns, Math.max(3, Math.floor(rows / 4)), paint);
  const foot = [detailLine(watched, width), footLine(watched, width, paint)];
  // A small screen is for the jobs.
  const top = rows >= head.length + lanes.length + 6 ? [...head, '', ...lanes] : head.slice(0, 2);
  const jobRows = Math.max(1, rows - top.length - 1 - foot.length);
  const jobs = watched.jobs.sorted(nowMs, watched.state);
  const shown = jobs.slice(watched.above, watched.above + jobRows);
  const table =
    jobs.length === 0 ? [paint.faint('no jobs')] : jobLines(shown, watched.chosen, columns, paint, nowMs);
  const body = [...top, ...table];
  const bodyRows = Math.max(0, rows - foot.length);
  while (body.length < bodyRows) body.push('');
  return { lines: [...body.slice(0, bodyRows), ...foot], jobRows };
}

function headLines(watched: Watched, width: number, paint: Paint, nowMs: number): string[] {
  const { info, jobs, trouble } = watched;
  const rates = jobs.rates(nowMs);
  const lines = flow([
    [paint.strong('incus-upload'), 'incus-upload'],
    plain(watched.address),
    ...(info === undefined ? [] : [plain(`target ${printable(textOf(info.target))}`)]),
  ]);
  lines.push(...flow([...rateItems(rates), ...infoItems(info)]), ...flow(countItems(watched, paint)));
  const away = info?.reachable === false ? `Incus is away: ${textOf(info.unreachable_reason)}` : undefined;
  const said = trouble ?? away;
  if (said !== undefined) lines.push(paint.bad(truncateEnd(printable(said), width)));
  return lines;

  /** Items side by side, in as many lines as they need. */
  function flow(items: readonly Item[]): string[] {
    const flowed: string[] = [];
    let line = '';
    let used = 0;
    for (const [drawn, text] of items) {
      const cut = truncateEnd(text, width);
      const needed = displayWidth(cut) + (used > 0 ? 2 : 0);
      if (used > 0 && used + needed > width) {
        flowed.push(line);
        line = '';
        used = 0;
      }
      line += (used > 0 ? '  ' : '') + (cut === text ? drawn : cut);
      used += displayWidth(cut) + (used > 0 ? 2 : 0);
    }
    return [...flowed, line];
  }
}

/** Drawn, and as it counts. */
type Item = readonly [drawn: string, text: string];

function plain(text: string): Item {
  return [text, text];
}

function rateItems({ jobs, bytes }: Rates): Item[] {
  return [plain(`${jobs.toFixed(jobs < 99.95 ? 1 : 0)} jobs/s`), plain(`${formatSize(bytes)}/s`)];
}

function infoItems(info: DaemonInfo | undefined): Item[] {
  const items: Item[] = [];
  if (typeof info?.uploads === 'number') items.push(plain(`uploads ${formatCount(info.uploads)}`));
  if (typeof info?.free_bytes === 'number') items.push(plain(`free ${formatSize(info.free_bytes)}`));
  return items;
}

/** The daemon's own numbers where it tells them, as it knows jobs that are too many to be listed. */
function countItems({ info, jobs }: Watched, paint: Paint): Item[] {
  const told = (info?.jobs ?? {}) as Partial<Record<JobState, unknown>>;
  return JOB_STATES.map((state) => {
    const number = told[state];
    const text = `${state} ${formatCount(typeof number === 'number' ? number : jobs.count(state))}`;
    return [paint.state(state, text), text];
  });
}

function laneLines(lanes: readonly LaneCount[], columns: number, most: number, paint: Paint): string[] {
  if (lanes.length === 0) return [];
  const shown = lanes.length > most ? lanes.slice(0, most - 1) : lanes;
  const others = lanes.some(({ project }) => project !== 'default');
  const rows = shown.map(({ project, instance, delivering, queued, deferred }) => [
    printable(others ? `${project}/${instance}` : instance),
    ...[delivering, queued, deferred].map(formatCount),
  ]);
  const table = formatColumns(LANE_COLUMNS, rows, columns, (text, row) =>
    row === 0 ? paint.strong(text) : text,
  );
  const more = lanes.length - shown.length;
  return [...table, ...(more > 0 ? [paint.faint(`and ${formatCount(more)} more`)] : []), ''];
}

function jobLines(
  jobs: readonly Job[],
  chosen: string | undefined,
  columns: number,
  paint: Paint,
  nowMs: number,
): string[] {
  const rows = jobs.map((job) => [
    job.id,
    formatDuration(nowMs - job.createdAt),
    stateOf(job, nowMs),
    printable(job.instance),
    printable(pathOf(job)),
    formatSize(job.size),
    `${job.attempts}/${job.maxAttempts}`,
    printable(reasonOf(job)),
  ]);
  const lines = formatColumns(JOB_COLUMNS, rows, columns, (text, row, column) => {
    const job = jobs[row - 1];
    if (job === undefined) return paint.strong(text);
    return JOB_COLUMNS[column]?.heading === 'STATE' && job.id !== chosen
      ? paint.state(job.state, text)
      : text;
  });
  const at = jobs.findIndex(({ id }) => id === chosen);
  const line = lines[at + 1];
  if (at !== -1 && line !== undefined) lines[at + 1] = paint.chosen(padEnd(line, columns - 1));
  return lines;
}

/** With how far it is, or when it goes on. */
function stateOf(job: Job, nowMs: number): string {
  if (job.state === 'deferred' && job.nextAttemptAt !== null)
    return `deferred ${formatCountdown(job.nextAttemptAt - nowMs)}`;
  if (job.state === 'delivering' && job.size > 0)
    return `delivering ${Math.min(100, Math.floor((job.bytesDelivered * 100) / job.size))}%`;
  return job.state;
}

function reasonOf(job: Job): string {
  if (job.state === 'queued' && job.ahead !== null && job.ahead > 0) return `${formatCount(job.ahead)} ahead`;
  if (job.state === 'delivering' && typeof job.filesTotal === 'number')
    return `${formatCount(job.filesDone ?? 0)} of ${formatFiles(job.filesTotal)}`;
  if (job.state === 'delivering') return `${formatSize(job.bytesDelivered)} so far`;
  if (job.state === 'delivered' && job.finishedAt !== null)
    return `after ${formatDuration(job.finishedAt - job.createdAt)}`;
  if (job.error === null || (isFinished(job.state) && job.state !== 'failed')) return '';
  return `${job.error.code}: ${job.error.message}`;
}

/** Whole seconds, so that it steps evenly. */
function formatCountdown(leftMs: number): string {
  const seconds = Math.max(0, Math.ceil(leftMs / 1000));
  return seconds < 60 ? `${seconds}s` : formatDuration(seconds * 1000);
}

/** What the table may have no room for. */
function detailLine({ jobs, chosen }: Watched, width: number): string {
  const job = chosen === undefined ? undefined : jobs.get(chosen);
  if (job === undefined) return '';
  const reason = reasonOf(job);
  return truncateEnd(
    printable(`${job.id} ${destinationOf(job)}${reason === '' ? '' : `: ${reason}`}`),
    width,
  );
}

function footLine({ foot }: Watched, width: number, paint: Paint): string {
  return foot === undefined
    ? paint.faint(truncateEnd(KEYS_HELP, width))
    : paint.strong(truncateEnd(printable(foot), width));
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
