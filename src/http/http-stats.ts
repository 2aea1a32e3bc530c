import type { ErrorCode } from '../errors.ts';

/** Plain counters, so that the way of an upload pays nothing for metrics; they are read when somebody asks. */
export class HttpStats {
  uploadsAccepted = 0;
  uploadBytesAccepted = 0;
  uploadsUnderWay = 0;
  /** What these are going to be: several jobs of an upload with several destinations. */
  jobsArriving = 0;
  uploadsReplayed = 0;
  uploadsAborted = 0;
  readonly refusedByCode = new Map<ErrorCode, number>();

  refused(code: ErrorCode): void {
    this.refusedByCode.set(code, (this.refusedByCode.get(code) ?? 0) + 1);
  }
}
