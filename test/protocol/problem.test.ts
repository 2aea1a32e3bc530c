import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodedError, ERRORS, type ErrorCode } from '../../src/errors.ts';
import { decodeProblem, encodeProblem } from '../../src/protocol/problem.ts';

test('decodeProblem() reads what encodeProblem() writes, for every code', () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    const problem = encodeProblem(new CodedError(code, 'in this case'));
    assert.equal(problem.status, ERRORS[code].http);
    assert.deepEqual(decodeProblem(JSON.parse(JSON.stringify(problem))), { code, detail: 'in this case' });
  }
});

test('decodeProblem() has the sentence of the code when there is no detail', () => {
  assert.deepEqual(decodeProblem({ code: 'queue_full', detail: 7 }), {
    code: 'queue_full',
    detail: ERRORS.queue_full.sentence,
  });
});

test('decodeProblem() is undefined for everything else', () => {
  for (const json of [null, undefined, 7, 'x', [], {}, { code: 7 }, { code: 'toString' }]) {
    assert.equal(decodeProblem(json), undefined);
  }
});
