import { addressOf, type Connection } from '../client/connection.ts';
import type { DaemonInfo } from '../client/info.ts';
import { cancelJob, type JobQuery, retryJob } from '../client/jobs.ts';
import { CodedError, messageOf } from '../errors.ts';
import { isFinished } from '../protocol/job.ts';
import { advise } from './advice.ts';
import { wantsColor } from './color.ts';
import type { GlobalFlags } from './context.ts';
import { followQueue, loadQueue } from './follow-queue.ts';
import { destinationOf } from './job-line.ts';
import { type Key, watchKeys } from './keys.ts';
import { createPaint } from './printer.ts';
import { openScreen } from './screen.ts';
import { layOutWatch } from './watch-lines.ts';
import { WatchedJobs } from './watched-jobs.ts';

/** Events may come by the thousand; nobody reads faster than this. */
const LEAST_REDRAW_MS = 100;
/** Ages and countdowns go on by themselves. */
const REDRAW_MS = 1000;
/** How long the answer to a key stands. */
const ANSWER_MS = 5000;

/** Shows the queue on a screen of its own until `q` is pressed, which resolves to 0, or the signal fires, which rejects. */
export async function watchJobs(
  connection: Connection,
  query: JobQuery,
  flags: GlobalFlags,
  interruption: AbortSignal,
): Promise<number> {
  const left = new AbortController();
  const signal = AbortSignal.any([interruption, left.signal]);
  const jobs = new WatchedJobs(query, Date.now());
  // Before the screen is taken, so that an error stands where errors do.
  await loadQueue(connection, query, jobs, signal);

  const paint = createPaint(wantsColor(flags.color, process.stdout, process.env));
  const address = addressOf(connection);
  let info: DaemonInfo | undefined;
  let trouble: string | undefined;
  let chosen: string | undefined;
  let above = 0;
  let jobRows = 1;
  let answer: { readonly text: string; readonly untilMs: number } | undefined;
  /** The job that is cancelled if the next key is `y`. */
  let asked: string | undefined;

  const list = () => jobs.sorted(Date.now(), query.state);

  /** The chosen job stays on the screen wherever it goes; when it is gone the one in its place is chosen. */
  let chosenAt = 0;
  const follow = (): void => {
    const sorted = list();
    const at = sorted.findIndex(({ id }) => id === chosen);
    choose(at === -1 ? chosenAt : at, sorted);
  };
  const choose = (index: number, sorted = list()): void => {
    chosenAt = Math.max(0, Math.min(index, sorted.length - 1));
    chosen = sorted[chosenAt]?.id;
    above = Math.max(0, Math.min(above, chosenAt, sorted.length - jobRows));
    above = Math.max(above, chosenAt - jobRows + 1);
  };

  const screen = openScreen(process.stdout, (size) => {
    const nowMs = Date.now();
    if (answer !== undefined && answer.untilMs < nowMs) answer = undefined;
    const question = asked === undefined ? undefined : questionOf(asked);
    const draw = () => {
      follow();
      const foot = question ?? answer?.text;
      const watched = { address, jobs, info, state: query.state, chosen, above, foot, trouble };
      return layOutWatch(watched, size, paint, nowMs);
    };
    let drawn = draw();
    if (drawn.jobRows !== jobRows) {
      jobRows = drawn.jobRows;
      drawn = draw();
    }
    return drawn.lines;
  });

  const questionOf = (id: string): string => {
    const job = jobs.get(id);
    return `Cancel ${id}${job === undefined ? '' : ` ${destinationOf(job)}`}? y/n`;
  };
  const say = (text: string): void => {
    answer = { text, untilMs: Date.now() + ANSWER_MS };
    screen.draw();
  };
  const act = async (id: string, change: typeof cancelJob): Promise<void> => {
    try {
      const job = await change(connection, id, { signal });
      jobs.update(job, Date.now());
      say(`${id} ${job.state}`);
    } catch (error) {
      if (signal.aborted) return;
      say(error instanceof CodedError ? advise(error.code, error.message) : messageOf(error));
    }
  };

  const onKey = (key: Key): void => {
    if (key === 'interrupt') left.abort(new CodedError('interrupted'));
    else if (asked !== undefined) {
      const id = asked;
      asked = undefined;
      if (key === 'y' || key === 'Y') void act(id, cancelJob);
    } else press(key);
    screen.draw();
  };
  const press = (key: Key): void => {
    answer = undefined;
    if (key === 'q' || key === 'Q') left.abort();
    else if (key === 'up' || key === 'k') choose(chosenAt - 1);
    else if (key === 'down' || key === 'j') choose(chosenAt + 1);
    else if (key === 'page-up') choose(chosenAt - jobRows);
    else if (key === 'page-down') choose(chosenAt + jobRows);
    else if (key === 'home' || key === 'g') choose(0);
    else if (key === 'end' || key === 'G') choose(Number.MAX_SAFE_INTEGER);
    else if (key === 'c' && chosen !== undefined) {
      const job = jobs.get(chosen);
      if (job !== undefined && isFinished(job.state)) say(`${chosen} is over already: ${job.state}`);
      else asked = chosen;
    } else if (key === 'r' && chosen !== undefined) void act(chosen, retryJob);
  };

  let drawnAtMs = 0;
  let soon: NodeJS.Timeout | undefined;
  const drawNow = (): void => {
    clearTimeout(soon);
    soon = undefined;
    drawnAtMs = Date.now();
    screen.draw();
  };
  const drawSoon = (): void => {
    soon ??= setTimeout(drawNow, Math.max(0, drawnAtMs + LEAST_REDRAW_MS - Date.now()));
  };
  const timer = setInterval(drawNow, REDRAW_MS);
  const keys = watchKeys(onKey);
  try {
    drawNow();
    await followQueue(connection, query, jobs, {
      signal,
      onJobs: drawSoon,
      onInfo: (told) => {
        info = told;
        drawSoon();
      },
      onTrouble: (why) => {
        trouble = why === undefined ? undefined : advise(why.code, why.message);
        drawSoon();
      },
    });
    return 0;
  } catch (error) {
    if (!signal.aborted) throw error;
    interruption.throwIfAborted();
    if (left.signal.reason instanceof CodedError) throw left.signal.reason;
    return 0;
  } finally {
    clearInterval(timer);
    clearTimeout(soon);
    keys.stop();
    screen.close();
  }
}
