/** All drawing: the only file that knows chalk and ora. Loaded when there is something to draw. */
import { Chalk } from 'chalk';
import ora from 'ora';
import type { JobState } from '../protocol/job.ts';

export type Paint = {
  state(state: JobState, text?: string): string;
  strong(text: string): string;
  faint(text: string): string;
  bad(text: string): string;
  good(text: string): string;
  /** The line that the keys act on; told apart without colours, too. */
  chosen(text: string): string;
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
    chosen: color ? chalk.inverse : (text) => `${INVERSE}${text}${NOT_INVERSE}`,
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

const INVERSE = '\u001b[7m';
const NOT_INVERSE = '\u001b[27m';
const SPINNER_COLUMNS = 2;
const FRAME_MS = 100;
const WRAP_OFF = '\u001b[?7l';
const WRAP_ON = '\u001b[?7h';
const ERASE_LINE = '\u001b[K';
const ERASE_BELOW = '\u001b[J';
const FORWARD = '\u001b[C';
const up = (rows: number): string => (rows > 0 ? `\u001b[${rows}A` : '');

/**
 * ora leaves the cursor behind the last line, goes up as many rows as it wrote to erase them, and writes the next frame
 * then, each in a write of its own. That flickers, and leaves rows standing when the terminal became narrower and folded
 * the lines, or tells its new size late (tmux a quarter of a second). So ora writes to a stand-in, and a frame goes out as
 * one write, drawn over the one before without wrapping. The cursor is parked at the start of the first line, which
 * terminals keep track of.
 */
export function openLiveArea(stream: NodeJS.WriteStream, color: boolean, lines: Lines): LiveArea {
  // ora takes what is written to the stream itself for somebody else's, so it is kept as it is before.
  const write = stream.write.bind(stream) as (text: string) => boolean;
  let frame: string | undefined;
  const nothing = (): void => undefined;
  const standIn = {
    isTTY: true,
    columns: Number.MAX_SAFE_INTEGER,
    write: (text: string): boolean => {
      if (frame === undefined) write(text);
      else frame += text;
      return true;
    },
    ...{ cursorTo: nothing, moveCursor: nothing, clearLine: nothing },
  };
  const spinner = ora({
    stream: standIn as unknown as NodeJS.WriteStream,
    isEnabled: true,
    // Standard input may be what is being sent.
    discardStdin: false,
    interval: FRAME_MS,
    color: color ? 'cyan' : false,
  });
  let parked = false;
  let drawn = 0;

  const compose = (): void => {
    const [columns, rows] = sizeOf(stream);
    // The last column stays free: some terminals wrap as soon as it is written.
    const composed = lines(Math.max(1, columns - 1 - SPINNER_COLUMNS), rows);
    drawn = composed.length;
    spinner.text = composed.join(`${ERASE_LINE}\n${' '.repeat(SPINNER_COLUMNS)}`) + ERASE_LINE + ERASE_BELOW;
  };

  const clear = spinner.clear.bind(spinner);
  spinner.clear = () => {
    clear();
    // From the second column on, as tmux keeps in its history what is erased from the corner of the screen on.
    if (frame === undefined && parked) write(`\r${ERASE_LINE}${FORWARD}${ERASE_BELOW}\r`);
    if (frame === undefined) parked = false;
    return spinner;
  };

  const render = spinner.render.bind(spinner);
  spinner.render = () => {
    compose();
    if (drawn === 0) return spinner.clear();
    frame = '';
    render();
    if (frame !== '') {
      write(`${WRAP_OFF}${frame}${WRAP_ON}${up(drawn - 1)}\r`);
      parked = true;
    }
    frame = undefined;
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
