/** What a commit of the journal puts and removes, and its form in the log. */
export type JournalKey =
  | number
  | string
  | readonly [string, string, number]
  | readonly [number, string | number];

export type Operation = {
  /** Position of the table in `TABLE_NAMES`. */
  readonly table: number;
  readonly key: JournalKey;
  /** The key, or its JSON when it is not a number. */
  readonly id: number | string;
  /** Undefined: removed. */
  readonly value: Buffer | undefined;
};

/** Never in another order, and none is ever taken out: the log names tables by their position. */
export const TABLE_NAMES = [
  'jobs',
  'payloads',
  'live',
  'delivered',
  'failed',
  'cancelled',
  'instances',
  'paths',
  'trees',
  'keys',
  'temporaries',
  'batches',
  'linger',
  'meta',
] as const;

export type TableName = (typeof TABLE_NAMES)[number];

export function idOf(key: JournalKey): number | string {
  return typeof key === 'number' ? key : JSON.stringify(key);
}

const PUTS = 1;
const IS_TEXT = 2;

/**
 * Writes operations one after the other: table (1 byte), what it is (1 byte), the key as a double of 8 bytes or as JSON
 * behind its length (2 bytes), the value behind its length (4 bytes). Returns the offset behind them, or -1 when `into`
 * is too small.
 */
export function encodeOperations(operations: readonly Operation[], into: Buffer, offset: number): number {
  let at = offset;
  for (const { table, id, value } of operations) {
    // A character takes 3 bytes at the most.
    const most = 2 + (typeof id === 'number' ? 8 : 2 + 3 * id.length) + 4 + (value?.length ?? 0);
    if (at + most > into.length) return -1;
    into[at] = table;
    into[at + 1] = (value === undefined ? 0 : PUTS) | (typeof id === 'number' ? 0 : IS_TEXT);
    at += 2;
    if (typeof id === 'number') at = into.writeDoubleLE(id, at);
    else {
      const length = into.write(id, at + 2);
      into.writeUInt16LE(length, at);
      at += 2 + length;
    }
    if (value === undefined) continue;
    at = into.writeUInt32LE(value.length, at);
    into.set(value, at);
    at += value.length;
  }
  return at;
}

export function decodeOperations(bytes: Buffer): Operation[] {
  const operations: Operation[] = [];
  let at = 0;
  while (at < bytes.length) {
    const table = bytes.readUInt8(at);
    const what = bytes.readUInt8(at + 1);
    at += 2;
    let id: number | string;
    if ((what & IS_TEXT) === 0) {
      id = bytes.readDoubleLE(at);
      at += 8;
    } else {
      const length = bytes.readUInt16LE(at);
      id = bytes.toString('utf8', at + 2, at + 2 + length);
      at += 2 + length;
    }
    let value: Buffer | undefined;
    if ((what & PUTS) !== 0) {
      const length = bytes.readUInt32LE(at);
      value = bytes.subarray(at + 4, at + 4 + length);
      at += 4 + length;
    }
    const key = typeof id === 'number' ? id : (JSON.parse(id) as JournalKey);
    operations.push({ table, key, id, value });
  }
  return operations;
}
