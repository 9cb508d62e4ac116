import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyShard } from './domain/shard-record.ts';
import { Shard, WaitLimit } from './shard.ts';

const LONG_MS = 60_000;
const never = new AbortController().signal;

function newShard(): Shard {
  return new Shard(0, emptyShard('log', 0), { ownerEpoch: 0 }, new WaitLimit(10));
}

const deadline = () => performance.now() + LONG_MS;

test('a read that waits ends the rest of a shard, a feed does not', async () => {
  const shard = newShard();
  const rested: string[] = [];
  const rest = shard.restUntilAwaited(LONG_MS, never).then(() => rested.push('rested'));
  const feed = shard.waitFor(0, deadline(), never, 'patient');
  assert.equal(shard.isAwaited, false);
  await Promise.resolve();
  assert.deepEqual(rested, []);
  const read = shard.waitFor(0, deadline(), never);
  assert.equal(shard.isAwaited, true);
  await rest;
  await shard.restUntilAwaited(LONG_MS, never);
  shard.advance({ ...shard.record, applied: 0 });
  assert.deepEqual(await Promise.all([feed, read]), [true, true]);
  assert.equal(shard.isAwaited, false);
});

test('who begins to wait is told, and a rest ends with its signal or in time', async () => {
  const shard = newShard();
  let isTold = false;
  shard.onAwaited(() => {
    isTold = true;
  });
  const ending = new AbortController();
  const rest = shard.restUntilAwaited(LONG_MS, ending.signal);
  ending.abort();
  await rest;
  await shard.restUntilAwaited(1, never);
  assert.equal(await shard.waitFor(3, performance.now() + 1, never, 'patient'), false);
  assert.equal(isTold, false);
  assert.equal(await shard.waitFor(3, performance.now() + 1, never), false);
  assert.equal(isTold, true);
});
