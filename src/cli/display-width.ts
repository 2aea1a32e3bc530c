const ZERO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}\p{Cc}]/u;
const WIDE_EMOJI = /\p{Emoji_Presentation}/u;
const ELLIPSIS = '…';

/** First and last code points of what terminals draw two columns wide (East Asian Width W and F, UAX #11). */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xa000, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18cff],
  [0x1b000, 0x1b2ff],
  [0x1f200, 0x1f2ff],
  [0x1f300, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f900, 0x1faff],
  [0x20000, 0x3fffd],
];

function characterWidth(character: string): number {
  const code = character.codePointAt(0) ?? 0;
  if (code >= 0x20 && code < 0x7f) return 1;
  if (ZERO_WIDTH.test(character)) return 0;
  if (WIDE.some(([first, last]) => code >= first && code <= last) || WIDE_EMOJI.test(character)) return 2;
  return 1;
}

/**
 * Columns that a text takes on a terminal. Joined emoji count in full, as terminals that do not join them draw them, so
 * the result is never too small.
 */
export function displayWidth(text: string): number {
  let columns = 0;
  for (const character of text) columns += characterWidth(character);
  return columns;
}

/** The text, cut to at most `columns` with an ellipsis at its end. */
export function truncateEnd(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  let kept = '';
  let left = columns - 1;
  for (const character of text) {
    left -= characterWidth(character);
    if (left < 0) break;
    kept += character;
  }
  return columns <= 0 ? '' : kept + ELLIPSIS;
}

/** The text, cut to at most `columns` with an ellipsis at its beginning: of a path, the end tells most. */
export function truncateStart(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  const characters = [...text];
  let left = columns - 1;
  let from = characters.length;
  while (from > 0) {
    const width = characterWidth(characters[from - 1] ?? '');
    if (width > left) break;
    left -= width;
    from -= 1;
  }
  // A combining character whose base was cut off would sit on the ellipsis.
  while (from < characters.length && characterWidth(characters[from] ?? '') === 0) from += 1;
  return columns <= 0 ? '' : ELLIPSIS + characters.slice(from).join('');
}

/** The text, filled with blanks to `columns`. */
export function padEnd(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - displayWidth(text)));
}

/** The text, with blanks before it up to `columns`. */
export function padStart(text: string, columns: number): string {
  return ' '.repeat(Math.max(0, columns - displayWidth(text))) + text;
}
