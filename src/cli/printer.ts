/** All drawing: the only file that knows chalk and ora. Loaded when there is something to draw. */
import { writeSync } from 'node:fs';
import { Chalk } from 'chalk';
import ora from 'ora';
import type { JobState } from '../protocol/job.ts';

export type Paint = {
  state(state: JobState, text?: string): string;
  strong(text: string): string;
  faint(text: string): string;
  bad(text: string): string;
  good(text: string): string;
};

/** Colours, or none. */
export function createPaint(color: boolean): Paint {
  const chalk = new Chalk({ level: color ? 1 : 0 });
  const states: Readonly<Record<JobState, (text: string) => string>> = {
    queued: chalk.cyan,
    delivering: chalk.blue,
    deferred: chalk.yellow,
    delivered: chalk.green,
    failed: chalk.red,
    cancelled: chalk.gray,
  };
  return {
    state: (state, text = state) => states[state](text),
    strong: chalk.bold,
    faint: chalk.dim,
    bad: chalk.red,
    good: chalk.green,
  };
}

/** Lines at the foot of a terminal that are drawn again and again. What others print goes above them. */
export type LiveArea = {
  /** Draws at once what there is to show now; it is drawn again every tenth of a second anyway. */
  refresh(): void;
  /** Removes the lines and gives the cursor back. */
  stop(): void;
};

/** What to show on a terminal of that size: lines no wider than `columns`, none when there is nothing to show. */
export type Lines = (columns: number, rows: number) => readonly string[];

const SPINNER_COLUMNS = 2;
const FRAME_MS = 100;
const WRAP_OFF = '\u001b[?7l';
const WRAP_ON = '\u001b[?7h';
const ERASE_BELOW = '\u001b[J';
const up = (rows: number): string => (rows > 0 ? `\u001b[${rows}A` : '');
const down = (rows: number): string => (rows > 0 ? `\u001b[${rows}B` : '');

/**
 * ora leaves the cursor behind the last line and erases by going up as many rows as it wrote. A terminal that becomes
 * narrower folds the lines into more rows, and some tell their new size late (tmux a quarter of a second), so that rows
 * would be left standing. So the cursor is parked at the start of the first line, which terminals keep track of, all
 * below it is erased, and lines are drawn without wrapping.
 */
export function openLiveArea(
  stream: NodeJS.WriteStream & { readonly fd: number },
  color: boolean,
  lines: Lines,
): LiveArea {
  const spinner = ora({
    stream,
    isEnabled: true,
    // Standard input may be what is being sent.
    discardStdin: false,
    interval: FRAME_MS,
    color: color ? 'cyan' : false,
  });
  /** Rows between the parked cursor and the last line; undefined while the cursor is where ora left it. */
  let parkedAbove: number | undefined;
  let drawn = 0;
  // Not through the stream, whose writes ora takes for somebody else's.
  const write = (text: string): void => void writeSync(stream.fd, text);

  const compose = (): void => {
    const [columns, rows] = sizeOf(stream);
    // The last column stays free: some terminals wrap as soon as it is written.
    const composed = lines(Math.max(1, columns - 1 - SPINNER_COLUMNS), rows);
    drawn = composed.length;
    spinner.text = composed.join(`\n${' '.repeat(SPINNER_COLUMNS)}`);
  };

  const clear = spinner.clear.bind(spinner);
  spinner.clear = () => {
    if (parkedAbove !== undefined) write(`\r${ERASE_BELOW}${down(parkedAbove)}`);
    parkedAbove = undefined;
    clear();
    compose();
    return spinner;
  };

  const render = spinner.render.bind(spinner);
  spinner.render = () => {
    write(WRAP_OFF);
    render();
    write(WRAP_ON);
    if (parkedAbove === undefined && drawn > 0) {
      parkedAbove = drawn - 1;
      write(`${up(parkedAbove)}\r`);
    }
    return spinner;
  };

  const refresh = (): void => {
    if (spinner.isSpinning) spinner.render();
    else compose();
    if (drawn === 0) spinner.stop();
    else if (!spinner.isSpinning) spinner.start();
  };
  stream.on('resize', refresh);

  return {
    refresh,
    stop() {
      stream.off('resize', refresh);
      spinner.stop();
    },
  };
}

function sizeOf(stream: NodeJS.WriteStream): [columns: number, rows: number] {
  const [columns, rows] = stream.getWindowSize();
  return [columns || 80, rows || 24];
}
