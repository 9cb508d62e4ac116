import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchPace } from './batch-pace.ts';

test('the pace is high while twenty batches come within a tenth of a second', () => {
  const pace = new BatchPace();
  for (let n = 0; n < 19; n++) pace.note(n);
  assert.equal(pace.isHigh(19), false);
  pace.note(19);
  assert.equal(pace.isHigh(20), true);
  assert.equal(pace.isHigh(99), true);
  assert.equal(pace.isHigh(100), false);
  // One batch every 10 ms never is.
  for (let n = 0; n < 100; n++) {
    pace.note(1_000 + 10 * n);
    assert.equal(pace.isHigh(1_000 + 10 * n), false);
  }
});
