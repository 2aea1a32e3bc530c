/** The format of the journal, which it names in `meta`. */
import { CodedError } from '../errors.ts';

/** 1 is the same without the log. */
export const FORMAT = '2';
const READABLE = ['1', FORMAT];

/** `config_invalid` when the directory was written by another format of this program. */
export function checkFormat(value: Buffer | undefined): void {
  const format = value?.toString();
  if (format === undefined || READABLE.includes(format)) return;
  throw new CodedError(
    'config_invalid',
    `The state directory has format ${format}, this program knows format ${FORMAT}; use the program that wrote it`,
  );
}
