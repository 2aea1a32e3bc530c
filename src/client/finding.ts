/** What a look at one thing found. */
export type Finding = {
  readonly check: 'config' | 'token' | 'socket' | 'daemon' | 'version' | 'clock' | 'incus' | 'disk' | 'queue';
  readonly status: 'ok' | 'warning' | 'problem';
  readonly message: string;
  /** What to do; null where all is well. */
  readonly advice: string | null;
};

type Check = Finding['check'];

export const fine = (check: Check, message: string): Finding => ({
  ...{ check, status: 'ok', message },
  advice: null,
});

export const odd = (check: Check, message: string, advice: string): Finding => ({
  ...{ check, status: 'warning', message, advice },
});

export const bad = (check: Check, message: string, advice: string): Finding => ({
  ...{ check, status: 'problem', message, advice },
});

/** A problem told by a sentence that has its advice behind a semicolon. */
export function badSentence(check: Check, sentence: string): Finding {
  const at = sentence.indexOf('; ');
  if (at === -1) return bad(check, sentence, 'see incus-upload(1)');
  return bad(check, sentence.slice(0, at), sentence.slice(at + 2));
}
