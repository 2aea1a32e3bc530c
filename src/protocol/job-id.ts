/**
 * Job ids. An id is a number that only grows, the sequence, written in base 32 so that ids sort as texts in the order in
 * which jobs were accepted. The sequence is the microseconds since 1970 at acceptance, or one more than the one before
 * it, whichever is larger; it stays below 2^53 until the year 2255.
 */

declare const brand: unique symbol;
export type JobId = string & { readonly [brand]: 'JobId' };

/** Crockford's base 32 in lower case: no i, l, o, u. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
const LENGTH = 11;
const ID = /^[0-9a-hjkmnp-tv-z]{11}$/;

export function encodeJobId(sequence: number): JobId {
  let text = '';
  let rest = sequence;
  for (let i = 0; i < LENGTH; i += 1) {
    text = DIGITS[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  return text as JobId;
}

/** The sequence of an id, or undefined when the text is no id. */
export function decodeJobId(text: string): number | undefined {
  if (!ID.test(text)) return undefined;
  let sequence = 0;
  for (const digit of text) sequence = sequence * 32 + DIGITS.indexOf(digit);
  return Number.isSafeInteger(sequence) ? sequence : undefined;
}

/** The next sequence after `last` when the clock shows `nowMs`. */
export function nextSequence(last: number, nowMs: number): number {
  return Math.max(last + 1, Math.floor(nowMs * 1000));
}
