import { CodedError } from '../errors.ts';

/** RFC 9110 section 15.5.6: a 405 names what is allowed. */
export class MethodError extends CodedError {
  /** Value of `Allow`. */
  readonly allow: string;

  constructor(allow: string) {
    super('method_not_allowed', `The method is not allowed here; use ${allow}`);
    this.allow = allow;
  }
}
