/**
 * The tokens as a running daemon knows them. It looks at the directory whenever a token is shown, so one that was added
 * counts and one that was revoked is gone from the next request on.
 */
import { timingSafeEqual } from 'node:crypto';
import { type BigIntStats, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError, messageOf, systemCode } from '../errors.ts';
import type { Scope } from '../protocol/scope.ts';
import { tokenDirectory, tokenNameOf } from './token-directory.ts';
import { decodeTokenRecord, hashToken, type TokenRecord } from './token-record.ts';

/** A change of the directory this long after another one has a time of its own, on any file system. */
const SETTLED_AFTER_MS = 100;

type Known = { readonly record: TokenRecord; readonly hash: Buffer };

export type ValidToken = {
  readonly name: string;
  readonly scope: Scope;
  /** Neither revoked nor expired since. */
  readonly isStillValid: () => boolean;
};

export class TokenKeeper {
  readonly #directory: string;
  readonly #nowMs: () => number;
  readonly #onProblem: (problem: string) => void;
  #known: readonly Known[] = [];
  /** The state of the directory that `#known` is of; undefined when it has to be read in any case. */
  #seen: string | undefined;

  /** `onProblem` is told of tokens that cannot be read; they are not valid. */
  constructor(stateDir: string, nowMs: () => number, onProblem: (problem: string) => void) {
    this.#directory = tokenDirectory(stateDir);
    this.#nowMs = nowMs;
    this.#onProblem = onProblem;
  }

  get size(): number {
    this.#look();
    return this.#known.length;
  }

  /** The token of that text, if it is valid; `not_ready` when that cannot be found out now. */
  find(text: string): ValidToken | undefined {
    this.#look();
    const hash = hashToken(text);
    let found: Known | undefined;
    // Always all of them, and in constant time: how long it takes tells nothing about what is nearly right.
    for (const known of this.#known) if (timingSafeEqual(known.hash, hash)) found = known;
    if (found === undefined || !this.#isInTime(found)) return undefined;
    const { name, scope } = found.record;
    return { name, scope, isStillValid: () => this.#isValid(hash) };
  }

  /** Reads the directory again at the next occasion, whether it looks changed or not. */
  forget(): void {
    this.#seen = undefined;
  }

  /** Never throws: it is asked where nobody could do anything about that. */
  #isValid(hash: Buffer): boolean {
    try {
      this.#look();
    } catch {
      return false;
    }
    return this.#known.some((known) => known.hash.equals(hash) && this.#isInTime(known));
  }

  #isInTime({ record: { expiresAt } }: Known): boolean {
    return expiresAt === null || this.#nowMs() < expiresAt;
  }

  #look(): void {
    try {
      const stats = statSync(this.#directory, { bigint: true, throwIfNoEntry: false });
      const state = describe(stats);
      if (state === this.#seen) return;
      this.#known = stats === undefined ? [] : this.#read();
      const ageMs = stats === undefined ? 0 : Date.now() - Number(stats.mtimeMs);
      this.#seen = stats === undefined || ageMs > SETTLED_AFTER_MS ? state : undefined;
    } catch (cause) {
      this.#seen = undefined;
      // Who is who cannot be known now; neither letting in nor sending away for good would be right.
      throw new CodedError(
        'not_ready',
        `Cannot read the tokens: ${messageOf(cause)}; try again in a moment`,
        {
          cause,
          retryAfterSeconds: 2,
        },
      );
    }
  }

  #read(): Known[] {
    const known: Known[] = [];
    for (const file of readdirSync(this.#directory)) {
      if (tokenNameOf(file) === undefined) continue;
      const path = join(this.#directory, file);
      const bytes = readIfThere(path);
      if (bytes === undefined) continue;
      try {
        const record = decodeTokenRecord(bytes);
        if (tokenNameOf(file) !== record.name) throw new Error('it is the token of another name');
        known.push({ record, hash: Buffer.from(record.sha256, 'hex') });
      } catch (error) {
        this.#onProblem(`the token in ${path} is not valid: ${messageOf(error)}`);
      }
    }
    return known;
  }
}

function describe(stats: BigIntStats | undefined): string {
  return stats === undefined ? 'none' : `${stats.dev}:${stats.ino}:${stats.mtimeNs}`;
}

/** Undefined when it was revoked just now. */
function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
