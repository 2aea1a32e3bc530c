import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeOperations,
  encodeOperations,
  idOf,
  type JournalKey,
  type Operation,
  TABLE_NAMES,
} from '../../src/spool/journal-operation.ts';

const number = fc.double({ noNaN: true }).map((value) => value + 0);
const text = fc.string({ unit: 'binary' });
const key: fc.Arbitrary<JournalKey> = fc.oneof(
  number,
  text,
  fc.tuple(text, text, fc.maxSafeNat()),
  fc.tuple(fc.maxSafeNat(), fc.oneof(text, fc.maxSafeNat())),
);
const operation: fc.Arbitrary<Operation> = fc
  .tuple(fc.nat({ max: TABLE_NAMES.length - 1 }), key, fc.option(fc.uint8Array({ maxLength: 300 })))
  .map(([table, of, value]) => ({
    ...{ table, key: of, id: idOf(of) },
    value: value === null ? undefined : Buffer.from(value),
  }));
const operations = fc.array(operation, { maxLength: 20 });

test('decodeOperations() reads what encodeOperations() writes', () => {
  fc.assert(
    fc.property(operations, (those) => {
      const bytes = Buffer.alloc(64 << 10);
      const end = encodeOperations(those, bytes, 20);
      assert.ok(end >= 20);
      assert.deepEqual(decodeOperations(bytes.subarray(20, end)), those);
    }),
  );
});

test('encodeOperations() says when there is too little room, and writes nothing beyond it', () => {
  fc.assert(
    fc.property(operations, fc.nat({ max: 400 }), (those, size) => {
      const bytes = Buffer.alloc(64 << 10);
      const end = encodeOperations(those, bytes, 0);
      const small = Buffer.alloc(size);
      const smallEnd = encodeOperations(those, small, 0);
      if (smallEnd === -1) return;
      assert.equal(smallEnd, end);
      assert.ok(small.subarray(0, end).equals(bytes.subarray(0, end)));
    }),
  );
});
