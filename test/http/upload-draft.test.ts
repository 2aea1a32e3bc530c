import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodedError } from '../../src/errors.ts';
import { Caller } from '../../src/http/caller.ts';
import { codedError, draftOf, sameDestination } from '../../src/http/upload-draft.ts';
import { UNLIMITED } from '../../src/protocol/scope.ts';
import { decodeUploadHeaders } from '../../src/protocol/upload-headers.ts';
import { createRecord } from '../../src/spool/create-record.ts';
import type { Draft } from '../../src/spool/spool.ts';

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

function draft(path: string, sourceName: string, key = 'k', submittedBy: string | null = null): Draft {
  const headers = { 'X-Container-Name': 'c1', 'X-File-Path': path, 'X-Host-Path': sourceName };
  const rawHeaders = Object.entries({ ...headers, 'Idempotency-Key': key }).flat();
  return draftOf(decodeUploadHeaders(rawHeaders), new Caller(submittedBy, UNLIMITED));
}

test('draftOf() keeps the keys of two senders apart, and short', () => {
  const keys = [draft('/f', 'a'), draft('/f', 'a', 'k', 'ann'), draft('/f', 'a', 'k', 'bob')].map(
    ({ idempotencyKey }) => idempotencyKey,
  );
  assert.equal(new Set(keys).size, 3);
  assert.equal(draft('/g', 'b', 'k', 'ann').idempotencyKey, keys[1]);
  assert.equal(draft('/f', 'a', 'k'.repeat(255)).idempotencyKey?.length, 43);
});

test('draftOf() says whether the body is to be unpacked', () => {
  const rawHeaders = ['X-Container-Name', 'c1', 'X-File-Path', '/srv/', 'X-Extract', 'tar'];
  const archive = draftOf(decodeUploadHeaders(rawHeaders), new Caller(null, UNLIMITED));
  assert.deepEqual([archive.extract, draft('/f', 'a').extract], ['tar', null]);
});

test('sameDestination() looks at the name of the file only for a path that is a directory', () => {
  const same = (path: string, name: string): boolean => {
    const about = { sequence: 1, nowMs: 1, size: 0, payloadFile: 0, maxAttempts: 1 };
    return sameDestination(draft(path, name), createRecord(draft(path, 'a'), about));
  };
  assert.deepEqual(
    [same('/d/', 'a'), same('/d/', 'b'), same('/f', 'a'), same('/f', 'b')],
    [true, false, true, true],
  );
});

test('sameDestination() keeps files and archives apart', () => {
  const about = { sequence: 1, nowMs: 1, size: 0, payloadFile: 0, maxAttempts: 1 };
  const file = draft('/d/', 'a');
  const archive: Draft = { ...file, extract: 'tar' };
  const same = (a: Draft, b: Draft): boolean => sameDestination(a, createRecord(b, about));
  assert.deepEqual([same(file, archive), same(archive, file)], [false, false]);
  assert.ok(same(archive, { ...archive, sourceName: 'other' }));
});

test('codedError() makes disk_low of a full disk or quota, with a time to come back', () => {
  for (const code of ['ENOSPC', 'EDQUOT']) {
    const cause = systemError(code);
    const error = codedError(cause);
    assert.deepEqual([error.code, error.retryAfterSeconds, error.cause], ['disk_low', 30, cause]);
  }
});

test('codedError() keeps what has a code and calls the rest internal', () => {
  const error = new CodedError('stalled');
  assert.equal(codedError(error), error);
  assert.equal(codedError(systemError('EMFILE')).code, 'internal');
  assert.equal(codedError('text').code, 'internal');
});
