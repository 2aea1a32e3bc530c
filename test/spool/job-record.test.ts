import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import { JOB_STATES } from '../../src/protocol/job.ts';
import { decodeJobRecord, encodeJobRecord, type JobRecord, jobOf } from '../../src/spool/job-record.ts';

const time = fc.integer({ min: 0, max: 4_102_444_800_000 });
const plain = { noNullPrototype: true } as const;
const error = fc.record(
  {
    code: fc.constantFrom(...(Object.keys(ERRORS) as ErrorCode[])),
    message: fc.string({ unit: 'binary' }),
    retryable: fc.boolean(),
  },
  plain,
);
const orNull = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value);

const anyRecord: fc.Arbitrary<JobRecord> = fc.record(
  {
    sequence: fc.nat(2 ** 31),
    state: fc.constantFrom(...JOB_STATES),
    instance: fc.string(),
    project: fc.string(),
    path: fc.string({ unit: 'grapheme' }),
    deliveredPath: orNull(fc.string()),
    sourceName: fc.string({ unit: 'grapheme' }),
    mode: fc.nat(0o7777),
    uid: fc.nat(),
    gid: fc.nat(),
    createDirs: fc.boolean(),
    size: fc.nat(),
    sha256: orNull(fc.string()),
    createdAt: time,
    updatedAt: time,
    finishedAt: orNull(time),
    attempts: fc.nat(),
    attemptsTotal: fc.nat(),
    maxAttempts: fc.nat(),
    nextAttemptAt: orNull(time),
    error: orNull(error),
    submittedBy: orNull(fc.string()),
    history: fc.array(fc.record({ startedAt: time, endedAt: time, error: orNull(error) }, plain)),
    payloadFile: fc.nat(),
    idempotencyKey: orNull(fc.string()),
    extract: fc.constant(null),
    filesTotal: fc.constant(null),
    batch: orNull(fc.nat()),
    batchRequest: orNull(fc.string()),
  },
  plain,
);

test('decodeJobRecord() gives back what encodeJobRecord() was given', () => {
  fc.assert(
    fc.property(anyRecord, (record) => {
      assert.deepEqual(decodeJobRecord(record.sequence, encodeJobRecord(record)), record);
    }),
  );
});

test('decodeJobRecord() keeps what is known of an archive, and reads records that know of none', () => {
  const [record] = fc.sample(anyRecord, 1) as [JobRecord];
  const archive: JobRecord = { ...record, extract: 'tar', filesTotal: 7 };
  assert.deepEqual(decodeJobRecord(record.sequence, encodeJobRecord(archive)), archive);
  const { extract, files_total, ...old } = JSON.parse(encodeJobRecord(archive).toString());
  assert.deepEqual([extract, files_total], ['tar', 7]);
  assert.deepEqual(decodeJobRecord(record.sequence, Buffer.from(JSON.stringify(old))), {
    ...record,
    extract: null,
    filesTotal: null,
  });
});

test('decodeJobRecord() names the job of a record that it cannot read', () => {
  for (const text of ['', '{', '[]', '{"v":2}', '\0\0']) {
    assert.throws(() => decodeJobRecord(32, Buffer.from(text)), {
      code: 'internal',
      message: /^Cannot read the journal's record of job 00000000010: /,
    });
  }
});

test('decodeJobRecord() takes a code that this version does not know for an internal one', () => {
  const [record] = fc.sample(anyRecord, 1) as [JobRecord];
  const json = JSON.parse(encodeJobRecord(record).toString());
  json.error = { code: 'from_the_future', message: 'm', retryable: true };
  assert.deepEqual(decodeJobRecord(1, Buffer.from(JSON.stringify(json))).error, {
    code: 'internal',
    message: 'm',
    retryable: true,
  });
});

test('jobOf() shows nothing of what only the spool needs', () => {
  const [record] = fc.sample(anyRecord, 1) as [JobRecord];
  const job = jobOf(record, { ahead: 2, bytesDelivered: 3 });
  assert.equal(job.ahead, 2);
  assert.equal(job.bytesDelivered, 3);
  for (const name of ['sequence', 'attemptsTotal', 'payloadFile', 'idempotencyKey'])
    assert.ok(!(name in job), name);
});
