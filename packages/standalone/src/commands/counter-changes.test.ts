import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CounterChanges } from './counter-changes.ts';

test('a reading tells what is new, what changed and what is gone', () => {
  const changes = new CounterChanges();
  const next = (values: Record<string, number>) =>
    changes
      .next(new Map(Object.entries(values)), 't')
      .map(({ name, value, change }) => [name, value, change]);
  assert.deepEqual(next({ a: 1, b: 2, zero: 0 }), [
    ['a', 1, undefined],
    ['b', 2, undefined],
    ['zero', 0, undefined],
  ]);
  assert.deepEqual(next({ a: 1, b: 2, zero: 0 }), []);
  assert.deepEqual(next({ a: -1, c: 5 }), [
    ['a', -1, -2],
    ['c', 5, undefined],
    ['b', 0, -2],
  ]);
  assert.deepEqual(next({ a: -1, b: 3, c: 5 }), [['b', 3, undefined]]);
});
