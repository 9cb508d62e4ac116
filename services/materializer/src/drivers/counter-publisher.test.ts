import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger, type Invoker } from '@memplane/runtime';
import { eventually } from '@memplane/testkit';
import { metrics } from '@opentelemetry/api';
import { emptyShard } from '../domain/shard-record.ts';
import { Shard, WaitLimit } from '../shard.ts';
import { ShardSet } from '../shard-set.ts';
import { CounterPublisher } from './counter-publisher.ts';

interface Part {
  readonly offset: number;
  readonly value: number;
}

const PATH = '/v1/counters/active_sessions/partitions/0';

/** As crdt-sync does: the part of the later position stays. */
class Parts {
  part: Part | undefined;
  sendings = 0;
  /** What happens between the sending of a part and its answer. */
  meanwhile: () => void = () => {};

  readonly invoker: Invoker = {
    invoke: async (_service, _method, path, { body }) => {
      if (path !== PATH) return {};
      const part = body as Part;
      this.sendings++;
      if (this.part === undefined || part.offset > this.part.offset) this.part = part;
      this.meanwhile();
      return {};
    },
    stream: () => Promise.reject(new Error('unused')),
  };
}

function publisherOf(parts: Parts, shards: ShardSet): CounterPublisher {
  return new CounterPublisher(shards, {
    invoker: parts.invoker,
    logger: createLogger('test', 'silent'),
    calls: metrics.getMeter('test').createCounter('calls'),
    ...{ intervalMs: 1, timeoutMs: 1_000, retryMsMax: 10 },
  });
}

const recordAt = (applied: number, activeSessions: number) => ({
  ...emptyShard('log', 0),
  applied,
  activeSessions,
});

function newShard(ownerEpoch: number, applied: number, active: number, answersFrom = -1): Shard {
  const owner = { ownerEpoch, answersFrom };
  return new Shard(0, recordAt(applied, active), owner, new WaitLimit(10));
}

test('an owner that comes back behind another one ends with the value of the log', async () => {
  const parts = new Parts();
  const shards = new ShardSet(
    { info: { logId: '', epoch: 0, partitions: 1 } },
    { epochOf: () => 0 },
  );
  const publisher = publisherOf(parts, shards);
  // Another owner was at 80, when 7 sessions were active; this one comes back with its state of 60.
  parts.part = { offset: 80, value: 7 };
  const shard = newShard(0, 60, 9, 90);
  shards.add(shard);
  publisher.opened(shard);
  await sleep(60);
  assert.equal(parts.sendings, 0, 'sent before it has caught up');
  shard.advance(recordAt(90, 9));
  publisher.notify();
  await eventually('the part of the log', 5_000, async () =>
    parts.part?.offset === 90 && parts.part.value === 9 ? true : undefined,
  );
  await publisher.stop();
});

test('an answer to the owner of before does not count for the next', async () => {
  const parts = new Parts();
  let epoch = 0;
  const shards = new ShardSet(
    { info: { logId: '', epoch: 0, partitions: 1 } },
    { epochOf: () => epoch },
  );
  const publisher = publisherOf(parts, shards);
  const before = newShard(0, 50, 5);
  const next = newShard(1, 90, 5);
  parts.meanwhile = () => {
    parts.meanwhile = () => {};
    epoch = 1;
    before.close();
    shards.remove(before);
    parts.part = { offset: 80, value: 7 };
    shards.add(next);
    publisher.opened(next);
  };
  shards.add(before);
  publisher.notify();
  await eventually('the part of the log', 5_000, async () =>
    parts.part?.offset === 90 && parts.part.value === 5 ? true : undefined,
  );
  await publisher.stop();
});
