import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import type { AppendEnd, AppendOrder } from '../domain/strong/append-program.ts';
import { AppendGroups } from './append-groups.ts';
import { KeyedQueues } from './keyed-queues.ts';

const QUEUE_MAX = 150;

function orderOf(id: string, more: Partial<AppendOrder> = {}): AppendOrder {
  const event = { id, digest: id, isFresh: false, textAt: () => id };
  return {
    ...{ tenant: 'default', entity: 'session/1', nonce: id, zones: 1, bytes: 10 },
    events: [event],
    ...more,
  };
}

/** Groups, and what went in together; each write waits until it is let through. */
function grouping(endOf: (order: AppendOrder) => AppendEnd = () => ({ places: [] })) {
  const groups: string[][] = [];
  const writes: (() => void)[] = [];
  const queues = new KeyedQueues(QUEUE_MAX);
  const appends = new AppendGroups({
    strong_queue_max: QUEUE_MAX,
    inTurn: ({ entity }, work) => queues.run(entity, work),
    appendAll: async (orders) => {
      groups.push(orders.map(({ nonce }) => nonce));
      await new Promise<void>((resolve) => writes.push(resolve));
      return orders.map(endOf);
    },
  });
  const goOn = async (work: Promise<unknown>) => {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    while (!isDone) {
      await new Promise((resolve) => setImmediate(resolve));
      writes.shift()?.();
    }
    return done;
  };
  return { appends, groups, goOn };
}

test('what waits for one write goes in by the next, together; another entity does not wait', async () => {
  const { appends, groups, goOn } = grouping();
  const first = appends.append(orderOf('a'));
  await new Promise((resolve) => setImmediate(resolve));
  const others = ['b', 'c', 'd'].map((id) => appends.append(orderOf(id)));
  const elsewhere = appends.append(orderOf('x', { entity: 'session/2' }));
  await goOn(Promise.all([first, ...others, elsewhere]));
  assert.deepEqual(groups, [['a'], ['x'], ['b', 'c', 'd']]);
});

test('a group holds what one batch may, under one table, and no id twice', async () => {
  const { appends, groups, goOn } = grouping();
  const blocks = appends.append(orderOf('blocks'));
  await new Promise((resolve) => setImmediate(resolve));
  const many = Array.from({ length: 101 }, (_, i) => orderOf(`${i}`));
  const orders = [
    ...many,
    orderOf('100'),
    orderOf('later', { zones: 2 }),
    orderOf('large', { zones: 2, bytes: 768 * 1024 }),
  ];
  await goOn(Promise.all([blocks, ...orders.map((order) => appends.append(order))]));
  assert.deepEqual(
    groups.map((group) => group.length),
    [1, 100, 1, 1, 1, 1],
  );
});

test('each of a group ends by itself, and too many are refused', async () => {
  const refused = new MemplaneError('sequence_conflict', 'planned');
  const { appends, goOn } = grouping(({ nonce }) =>
    nonce === 'refused' ? { error: refused } : { places: [] },
  );
  const all = ['a', 'refused', 'b'].map((id) => appends.append(orderOf(id)));
  const ends = (await goOn(Promise.allSettled(all))) as PromiseSettledResult<unknown>[];
  assert.deepEqual(
    ends.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  const waiting = Array.from({ length: QUEUE_MAX }, (_, i) => appends.append(orderOf(`w${i}`)));
  assert.throws(() => appends.append(orderOf('too many')), { code: 'overloaded' });
  await goOn(Promise.all(waiting));
});
