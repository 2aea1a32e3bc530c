import { DeliveryError } from '../failure.ts';
import { classify, systemCodeOfStatus } from './classify.ts';
import { SftpStatusError } from './seen-errors.ts';

/** What a refused request was for. */
const WORDS: Readonly<Record<string, string>> = {
  lstat: 'look up',
  stat: 'look up',
  readlink: 'look up',
  open: 'create a file beside',
  mkdir: 'make the directory',
  symlink: 'make the link',
  setstat: 'give owner and mode to',
  fsetstat: 'give owner and mode to',
  fstat: 'check',
  close: 'finish writing',
  rename: 'put into place',
};

/** A status as a sentence for people; other errors as they are. `place` is `INSTANCE:PATH`. */
export function explainStatus(error: unknown, place: string): unknown {
  if (!(error instanceof SftpStatusError)) return error;
  const words = error.text.slice(error.text.lastIndexOf(': ') + 1).trim() || `status ${error.status}`;
  const what = `${WORDS[error.op] ?? error.op} ${place}`;
  return new DeliveryError(classify(error), `Cannot ${what}: ${words}`, error);
}

/** Whether an error is a status, or stands for one, that tells this system error. */
export function isStatus(error: unknown, code: string): boolean {
  return statusCode(error) === code;
}

/** The system's name for what a status, or what stands for one, tells. */
export function statusCode(error: unknown): string | undefined {
  const status = error instanceof DeliveryError ? error.cause : error;
  return status instanceof SftpStatusError ? systemCodeOfStatus(status) : undefined;
}
