import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnderWay } from './under-way.ts';

/** Whether a promise has resolved by now. */
async function isSettled(promise: Promise<void>): Promise<boolean> {
  const pending = Symbol('pending');
  await new Promise(setImmediate);
  return (await Promise.race([promise, pending])) !== pending;
}

test('who waits is not kept waiting by what began later', async () => {
  const work = new UnderWay();
  const end = work.begin();
  const drained = work.drained();
  work.begin();
  assert.equal(await isSettled(drained), false);
  end();
  assert.equal(await isSettled(drained), true);
});

test('two that wait at the same time both wait for what began before either', async () => {
  const work = new UnderWay();
  const endFirst = work.begin();
  const one = work.drained();
  const endSecond = work.begin();
  const two = work.drained();
  endSecond();
  assert.deepEqual([await isSettled(one), await isSettled(two)], [false, false]);
  endFirst();
  assert.deepEqual([await isSettled(one), await isSettled(two)], [true, true]);
});

test('with nothing under way nobody waits', async () => {
  assert.equal(await isSettled(new UnderWay().drained()), true);
});
