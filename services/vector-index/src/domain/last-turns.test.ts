import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_ROW } from './bm25.ts';
import { LastTurns } from './last-turns.ts';

test('the last turn of each entity is known, whatever their numbers', () => {
  const turns = new LastTurns();
  assert.equal(turns.of(0), NO_ROW);
  assert.equal(turns.of(1e6), NO_ROW);
  for (const [ref, row] of [
    [0, 5],
    [3, 6],
    [5_000, 7],
    [0, 8],
    [123_456, 9],
  ] as const) {
    turns.set(ref, row);
    assert.equal(turns.of(ref), row);
  }
  assert.deepEqual(
    [0, 1, 3, 5_000, 5_001, 123_456].map((ref) => turns.of(ref)),
    [...[8, NO_ROW, 6, 7, NO_ROW, 9]],
  );
});
