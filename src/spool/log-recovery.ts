/** What a start finds in the journal's log. */
import { CodedError } from '../errors.ts';
import { COMMIT_BYTES } from './journal-cost.ts';
import { decodeOperations, type Operation } from './journal-operation.ts';
import { WriteAheadLog } from './write-ahead-log.ts';

/** What one commit of lmdb is to take from the log. */
export type Portion = {
  readonly operations: readonly Operation[];
  /** Bytes that lmdb may write for it at most. */
  readonly bytes: number;
  /** Its last record. */
  readonly number: number;
};

const PORTION_BYTES = 2 << 20;
/** What lmdb writes at most for one operation: its leaf, and what that is split into. */
const OPERATION_BYTES = 4 << 10;

/** The records that follow one that lmdb has, in portions; `internal` when one of them is missing. */
export function* readPortions(directory: string, salt: Buffer, appliedNumber: number): Generator<Portion> {
  let number = appliedNumber;
  let operations: Operation[] = [];
  let bytes = COMMIT_BYTES;
  for (const record of WriteAheadLog.read(directory, salt)) {
    if (record.number <= appliedNumber) continue;
    if (record.number !== number + 1) throw damaged(directory, number + 1);
    number = record.number;
    const those = decodeOperations(record.body);
    for (const one of those) operations.push(one);
    bytes += those.length * OPERATION_BYTES + 2 * record.body.length;
    if (bytes < PORTION_BYTES) continue;
    yield { operations, bytes, number };
    operations = [];
    bytes = COMMIT_BYTES;
  }
  if (operations.length > 0) yield { operations, bytes, number };
}

function damaged(directory: string, number: number): CodedError {
  return new CodedError(
    'internal',
    `The log in ${directory} is damaged: record ${number} is missing; check the disk, restore the state directory from a backup, or move log-0 and log-1 away to go on without what they hold`,
  );
}
