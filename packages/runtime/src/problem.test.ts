import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERROR_CODES, type ErrorCode, MemplaneError } from '@memplane/contracts';
import { fromProblem, toMemplaneError, toProblem } from './problem.ts';

test('every code goes into a problem and comes back as itself', () => {
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
    const error = new MemplaneError(code, 'words', {
      field: 'body[3].id',
      retryAfterMs: 250,
      extra: { currentSequence: 7 },
    });
    const problem = JSON.parse(JSON.stringify(toProblem(error)));
    assert.equal(problem.status, ERROR_CODES[code].status);
    assert.equal(problem.type, `urn:memplane:problem:${code}`);
    const back = fromProblem(problem.status, problem);
    assert.deepEqual(
      [back.code, back.message, back.field, back.retryAfterMs, back.extra, back.transient],
      [code, 'words', 'body[3].id', 250, { currentSequence: 7 }, error.transient],
    );
  }
});

test('what is no problem of ours becomes dependency_unavailable', () => {
  for (const body of [undefined, null, 'x', 7, [], {}, { code: 5 }, { code: 'toString' }]) {
    assert.equal(fromProblem(502, body).code, 'dependency_unavailable');
  }
});

test('an unexpected error keeps its text to itself', () => {
  const problem = toProblem(toMemplaneError(new Error('password=hunter2')));
  assert.equal(problem.code, 'internal');
  assert.ok(!JSON.stringify(problem).includes('hunter2'));
  for (const thrown of ['text', null, undefined, 7]) {
    assert.equal(toMemplaneError(thrown).code, 'internal');
  }
});
