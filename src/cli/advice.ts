import { ERRORS, type ErrorCode } from '../errors.ts';

/**
 * A message that says what to do. What follows `;` in a sentence of the registry does; a message of our own that has no
 * such clause gets it, and one of the system's, which has no capital letter, is put behind the sentence itself.
 */
export function advise(code: ErrorCode, message: string): string {
  const text = message.trim().replace(/\.$/, '');
  if (/; \S/.test(text)) return text;
  const sentence = ERRORS[code].sentence.replace(/\.$/, '');
  const at = sentence.indexOf('; ');
  if (text === '' || at === -1) return text === '' ? sentence : text;
  if (/^[a-z]+: |^[a-z ]+$/.test(text)) return `${sentence.slice(0, at)} (${text})${sentence.slice(at)}`;
  return text + sentence.slice(at);
}
