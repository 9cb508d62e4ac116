import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApplyQueue } from './apply-queue.ts';
import type { FeedLine, PartitionLines } from './domain/ports.ts';

const lines = (count: number) => new Array<FeedLine>(count).fill({} as FeedLine);
/** Far longer than any test: what does not wait for it is seen at once. */
const NEVER_MS = 60_000;

function newQueue(applyIntervalMs: number, fails = false) {
  const seen: (readonly (readonly [number, number])[])[] = [];
  const applyAll = (batches: readonly PartitionLines[]) => {
    seen.push(batches.map(({ partition, lines: some }) => [partition, some.length]));
    if (fails) throw new Error('no');
  };
  return { seen, queue: new ApplyQueue({ applyAll, applyIntervalMs, apply_lines_full: 10 }) };
}

test('what comes alone waits for nobody, and what comes together shares a transaction', async () => {
  const { seen, queue } = newQueue(NEVER_MS);
  await queue.apply(3, lines(1));
  assert.deepEqual(seen, [[[3, 1]]]);
  const some = [queue.apply(0, lines(4)), queue.apply(1, lines(5)), queue.apply(2, lines(1))];
  await Promise.all(some);
  assert.deepEqual(seen.slice(1), [
    [
      [0, 4],
      [1, 5],
      [2, 1],
    ],
  ]);
});

test('fewer lines wait for the interval', async () => {
  const { seen, queue } = newQueue(20);
  await queue.apply(0, lines(1));
  const before = performance.now();
  await Promise.all([queue.apply(0, lines(1)), queue.apply(1, lines(1))]);
  assert.ok(performance.now() - before > 10);
  assert.equal(seen.length, 2);
});

test('all that share a transaction fail with it, and the next one is tried', async () => {
  const { seen, queue } = newQueue(0, true);
  const both = await Promise.allSettled([queue.apply(0, lines(1)), queue.apply(1, lines(1))]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  await assert.rejects(queue.apply(0, lines(1)), /no/);
  assert.equal(seen.length, 2);
});
