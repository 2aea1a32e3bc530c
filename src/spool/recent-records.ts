import type { JobRecord } from './job-record.ts';

/**
 * The records that were committed or read last, so that a job on its way is not decoded again at every step. Holds only
 * what is committed; records are never changed in place.
 */
export class RecentRecords {
  readonly #limit: number;
  readonly #records = new Map<number, JobRecord>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(sequence: number): JobRecord | undefined {
    return this.#records.get(sequence);
  }

  set(record: JobRecord): void {
    this.#records.set(record.sequence, record);
    if (this.#records.size <= this.#limit) return;
    for (const oldest of this.#records.keys()) {
      this.#records.delete(oldest);
      return;
    }
  }

  delete(sequence: number): void {
    this.#records.delete(sequence);
  }
}
