import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs } from './backoff.ts';
import { Memplane } from './memplane.ts';
import { RetryBudget } from './retry-budget.ts';

test('repetitions are a fifth of the calls in the long run, and a few at once', () => {
  const budget = new RetryBudget(0);
  let free = 0;
  while (budget.spend(0) === 0) free++;
  assert.equal(free, 20);
  budget.giveBack();
  let calls = 0;
  // Each call would be repeated at once, many times.
  for (let n = 0; n < 100; n++) {
    for (let i = 0; i < 50; i++) budget.earn();
    calls += 50;
    while (budget.spend(0) === 0) free++;
    budget.giveBack();
  }
  assert.ok(free <= 20 + calls / 5 && free > calls / 6, `${free} of ${calls}`);
});

test('where it is used up a repetition waits, two a second', () => {
  const budget = new RetryBudget(0);
  for (let i = 0; i < 20; i++) budget.spend(0);
  assert.deepEqual([budget.spend(0), budget.spend(0)], [500, 1_000]);
  assert.equal(budget.spend(1_500), 0, 'three more, of which two were taken');
});

test('whoever is told when to come does not come before, nor all at the same time', () => {
  const options = { backoffBaseMs: 50, backoffMaxMs: 2_000 };
  assert.equal(backoffMs(0, options, 4_000, 0), 4_000);
  assert.equal(backoffMs(0, options, 4_000, 0.5), 5_000);
  assert.equal(backoffMs(10, options, 100, 0.5), 1_100);
});

test('a client that is always refused does not multiply the load', async () => {
  let asked = 0;
  const client = new Memplane({
    url: 'http://127.0.0.1:1',
    ...{ timeoutMs: 1_000, backoffBaseMs: 1, backoffMaxMs: 2, retries_max: 1_000 },
    fetch: async () => {
      asked++;
      return Response.json(
        { code: 'overloaded', detail: 'no', transient: true, retryAfterMs: 1 },
        { status: 429 },
      );
    },
  });
  const calls = 100;
  const made = Array.from({ length: calls }, (_, i) =>
    client
      .counter(`c${i}`)
      .get()
      .catch((error: { code: string }) => error.code),
  );
  assert.deepEqual(new Set(await Promise.all(made)), new Set(['overloaded']));
  assert.ok(asked > calls && asked < calls * 1.6, `${calls} calls asked ${asked} times`);
});
