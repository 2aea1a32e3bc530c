import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import { encodeBatchId } from '../../src/protocol/batch-id.ts';
import { JOB_STATES, type Job, type JobError } from '../../src/protocol/job.ts';
import { encodeJobId } from '../../src/protocol/job-id.ts';
import { decodeJob, encodeJob } from '../../src/protocol/job-wire.ts';

const time = fc.integer({ min: 0, max: Date.UTC(2255, 0) });
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const text = fc.string({ unit: 'binary' });
const orNull = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { nil: null });
const plain = { noNullPrototype: true };

const error: fc.Arbitrary<JobError> = fc.record(
  {
    code: fc.constantFrom(...(Object.keys(ERRORS) as ErrorCode[])),
    message: fc.string({ minLength: 1 }),
    retryable: fc.boolean(),
  },
  plain,
);

const job: fc.Arbitrary<Job> = fc.record(
  {
    id: count.map(encodeJobId),
    state: fc.constantFrom(...JOB_STATES),
    instance: text,
    project: text,
    path: text,
    sourceName: text,
    deliveredPath: orNull(text),
    size: count,
    sha256: orNull(text),
    mode: fc.nat({ max: 0o7777 }),
    uid: fc.nat(),
    gid: fc.nat(),
    createDirs: fc.boolean(),
    createdAt: time,
    updatedAt: time,
    finishedAt: orNull(time),
    attempts: fc.nat(),
    maxAttempts: fc.nat(),
    nextAttemptAt: orNull(time),
    bytesDelivered: count,
    ahead: orNull(fc.nat()),
    error: orNull(error),
    submittedBy: orNull(text),
    batch: orNull(count.map(encodeBatchId)),
    history: fc.array(fc.record({ startedAt: time, endedAt: time, error: orNull(error) }, plain), {
      maxLength: 3,
    }),
    extract: orNull(fc.constant('tar' as const)),
    filesTotal: orNull(fc.nat()),
    filesDone: orNull(fc.nat()),
  },
  plain,
);

test('decodeJob() reads what encodeJob() writes, through JSON', () => {
  fc.assert(
    fc.property(job, (value) =>
      assert.deepEqual(decodeJob(JSON.parse(JSON.stringify(encodeJob(value)))), value),
    ),
  );
});

test('encodeJob() has every member of the documentation, in snake_case', () => {
  const [value] = fc.sample(job, 1);
  assert.ok(value);
  const members = Object.keys(encodeJob(value));
  const documented =
    'id state instance project path delivered_path source_name size sha256 mode uid gid create_dirs created_at ' +
    'updated_at finished_at attempts max_attempts next_attempt_at bytes_delivered ahead error';
  assert.deepEqual(members.slice(0, 22), documented.split(' '));
});

test('decodeJob() ignores members it does not know and takes codes of a newer daemon', () => {
  const [value] = fc.sample(job, 1);
  assert.ok(value);
  const wire = { ...encodeJob(value), colour: 'red', error: { code: 'novel', message: '', retryable: true } };
  assert.deepEqual(decodeJob(wire).error, {
    code: 'internal',
    message: ERRORS.internal.sentence,
    retryable: true,
  });
});

test('decodeJob() throws for what is no job', () => {
  const [value] = fc.sample(job, 1);
  assert.ok(value);
  const wire = encodeJob(value);
  const broken = [
    null,
    7,
    'x',
    [],
    {},
    { ...wire, id: 'x' },
    { ...wire, state: 'lost' },
    { ...wire, size: -1 },
  ];
  for (const json of [
    ...broken,
    { ...wire, mode: '9' },
    { ...wire, created_at: 'now' },
    { ...wire, error: {} },
  ]) {
    assert.throws(() => decodeJob(json));
  }
});
