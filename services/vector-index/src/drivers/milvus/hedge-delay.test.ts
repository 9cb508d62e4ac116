import assert from 'node:assert/strict';
import { test } from 'node:test';
import { range } from '@memplane/testkit';
import { HedgeDelay } from './hedge-delay.ts';

test('twice what is usual is late: some answers that hang do not move that, a slow spell does', () => {
  const delay = new HedgeDelay(20);
  assert.equal(delay.ms, 20);
  for (const n of range(1_000)) delay.note(n % 20 === 0 ? 2_000 : 30 + (n % 10));
  assert.ok(delay.ms > 55 && delay.ms < 90, `${delay.ms} ms where 30 to 40 are usual`);
  for (const _ of range(50)) delay.note(200);
  assert.ok(delay.ms > 350, `${delay.ms} ms where 200 are usual`);
  for (const _ of range(100)) delay.note(1);
  assert.equal(delay.ms, 20, 'never less than the least');
});
