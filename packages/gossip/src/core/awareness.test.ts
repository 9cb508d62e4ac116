import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Awareness } from './awareness.ts';

test('the score stays between 0 and its maximum, and stretches times', () => {
  const awareness = new Awareness(8);
  awareness.apply(-1);
  assert.equal(awareness.scale(500), 500);
  awareness.apply(3);
  assert.equal(awareness.score, 3);
  assert.equal(awareness.scale(500), 2_000);
  awareness.apply(100);
  assert.equal(awareness.scale(1_000), 9_000);
  const off = new Awareness(0);
  off.apply(5);
  assert.equal(off.scale(1_000), 1_000);
});
