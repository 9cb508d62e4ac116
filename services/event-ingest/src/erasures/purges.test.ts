import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PurgeNeed, Purges } from './purges.ts';

test('who asks while one purges waits for the next, and shares it', async () => {
  const begun: PurgeNeed[] = [];
  const ends: (() => void)[] = [];
  const purges = new Purges((need) => {
    begun.push(need);
    return new Promise((resolve) => ends.push(() => resolve([])));
  });
  const first = purges.run({ hadEvents: false });
  await Promise.resolve();
  const others = [purges.run({ hadEvents: false }), purges.run({ hadEvents: true })];
  assert.deepEqual(begun, [{ hadEvents: false }]);
  ends.shift()?.();
  await first;
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(begun.slice(1), [{ hadEvents: true }], 'one for both, by the greater need');
  ends.shift()?.();
  await Promise.all(others);
});

test('one that fails fails those who asked, and the next is tried', async () => {
  let isWell = false;
  const purges = new Purges(async () => {
    if (isWell) return [];
    throw new Error('etcd is gone');
  });
  await assert.rejects(purges.run({ hadEvents: true }), /etcd is gone/);
  isWell = true;
  assert.deepEqual(await purges.run({ hadEvents: true }), []);
});
