/** The refusals of RFC 6750, section 3: each tells in `WWW-Authenticate` what is wrong with the credentials. */
import { CodedError } from '../errors.ts';

const REALM = 'Bearer realm="incus-upload"';

export class AuthError extends CodedError {
  /** Value of `WWW-Authenticate`. */
  readonly challenge: string;

  constructor(code: 'unauthorized' | 'forbidden', message: string | undefined, challenge: string) {
    super(code, message);
    this.challenge = challenge;
  }
}

/** Nothing was shown. */
export class MissingTokenError extends AuthError {
  constructor(message?: string) {
    super('unauthorized', message, REALM);
  }
}

/** What was shown is worth nothing; the same words for whatever is wrong with it. */
export class InvalidTokenError extends AuthError {
  constructor(message = 'The token is not valid: unknown, revoked or expired; ask for another one') {
    super('unauthorized', message, `${REALM}, error="invalid_token"`);
  }
}

/** What was shown is valid, but not for this. */
export class ForbiddenError extends AuthError {
  constructor(message: string) {
    super('forbidden', message, `${REALM}, error="insufficient_scope"`);
  }
}
