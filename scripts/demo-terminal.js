/**
 * What a terminal showed, as lines for a log: each redrawn line once, without control sequences, and of a progress only
 * what is another tenth further.
 */
export async function* frames(output) {
  let rest = '';
  let last = '';
  let lastTenth = -1;
  for await (const text of output) {
    const parts = (rest + text).split(BREAK);
    rest = parts.pop() ?? '';
    yield* parts.filter(isNews);
  }
  if (isNews(rest)) yield rest;

  function isNews(frame) {
    const plain = frame.replace(SPINNER, '').trim();
    if (plain === '' || plain === last) return false;
    last = plain;
    const percent = /\b(\d{1,3})%/.exec(plain)?.[1];
    if (percent === undefined) return true;
    const tenth = Math.floor(Number(percent) / 10);
    if (tenth === lastTenth) return false;
    lastTenth = tenth;
    return true;
  }
}

/** Ends of lines, returns to the start, and control sequences of ECMA-48. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a terminal is steered with
const BREAK = /(?:[\r\n]|\u001b\[[0-9;?]*[A-Za-z])+/;

/** Turns while nothing else changes. */
const SPINNER = /[\u2800-\u28ff]/;
