const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?7h\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const WRAP_OFF = '\u001b[?7l';
const WRAP_ON = '\u001b[?7h';
const ERASE_LINE = '\u001b[K';
const ERASE_BELOW = '\u001b[J';

export type ScreenSize = { readonly columns: number; readonly rows: number };

/** A screen of its own, on which all is drawn anew at each change, in one write and without blanking it between. */
export type Screen = {
  draw(): void;
  /** Gives back the screen that was there before, and the cursor. */
  close(): void;
};

/** `lines` tells what to show at that size; what does not fit below the last row is left out. */
export function openScreen(
  stream: NodeJS.WriteStream,
  lines: (size: ScreenSize) => readonly string[],
): Screen {
  let isOpen = true;
  const draw = (): void => {
    if (!isOpen) return;
    const [columns, rows] = stream.getWindowSize();
    const size = { columns: columns || 80, rows: rows || 24 };
    const shown = lines(size).slice(0, size.rows);
    stream.write(
      HOME + WRAP_OFF + shown.map((line) => line + ERASE_LINE).join('\r\n') + ERASE_BELOW + WRAP_ON,
    );
  };
  // Somebody may have stopped the process and had the screen in the meantime.
  const goOn = (): void => {
    stream.write(ENTER);
    draw();
  };
  const close = (): void => {
    if (!isOpen) return;
    isOpen = false;
    stream.off('resize', draw);
    process.off('SIGCONT', goOn);
    process.off('exit', close);
    stream.write(LEAVE);
  };
  stream.write(ENTER);
  stream.on('resize', draw);
  process.on('SIGCONT', goOn);
  // A second Ctrl-C ends the process where it is.
  process.on('exit', close);
  return { draw, close };
}
