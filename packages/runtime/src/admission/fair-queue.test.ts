import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '@memplane/testkit';
import { FairQueue, URGENCIES, type Waiting } from './fair-queue.ts';

const waiting = (tenant: string, agent: string, more: Partial<Waiting> = {}): Waiting => ({
  ...{ tenant, agent, urgency: 'normal', bytes: 1_000, sinceMs: 0 },
  ...more,
});

function drain(queue: FairQueue<Waiting>): Waiting[] {
  const items: Waiting[] = [];
  for (let item = queue.shift(); item !== undefined; item = queue.shift()) items.push(item);
  return items;
}

test('tenants take turns, and within a tenant its agents', () => {
  const queue = new FairQueue<Waiting>();
  for (let i = 0; i < 6; i++) queue.push(waiting('a', 'a1'));
  queue.push(waiting('a', 'a2'));
  queue.push(waiting('b', 'b1'));
  queue.push(waiting('b', 'b1'));
  const order = drain(queue).map(({ agent }) => agent);
  assert.deepEqual(order.slice(0, 4).sort(), ['a1', 'a2', 'b1', 'b1']);
  assert.deepEqual(order.slice(4), Array(5).fill('a1'));
});

test('a tenant with large bodies has as many bytes as the others, not as many turns', () => {
  const queue = new FairQueue<Waiting>();
  for (let i = 0; i < 100; i++) queue.push(waiting('large', 'a', { bytes: 160 * 1024 }));
  for (let i = 0; i < 100; i++) queue.push(waiting('small', 'a', { bytes: 16 * 1024 }));
  const head = drain(queue).slice(0, 66);
  const large = head.filter(({ tenant }) => tenant === 'large').length;
  assert.ok(large >= 5 && large <= 8, `${large} of 66`);
});

test('the longest gives way to a newcomer, and a newcomer of the longest does not get in', () => {
  const queue = new FairQueue<Waiting>();
  for (let i = 0; i < 10; i++) queue.push(waiting('a', 'a1', { sinceMs: i }));
  assert.equal(queue.displace(waiting('a', 'a1')), undefined);
  assert.equal(queue.displace(waiting('b', 'b1'))?.sinceMs, 9);
  assert.equal(queue.displace(waiting('a', 'a2', { urgency: 'first' }))?.sinceMs, 8);
  assert.equal(queue.size, 8);
});

test('whatever is done, nothing is lost, nothing twice, and each agent is served in its order', () => {
  const random = testSeed('fair queue');
  const queue = new FairQueue<Waiting>();
  const inside = new Set<Waiting>();
  const last = new Map<string, number>();
  const out = (item: Waiting) => assert.ok(inside.delete(item), 'it was not in the queue');
  for (let nowMs = 0; nowMs < 20_000; nowMs++) {
    const done = random.int(0, 9);
    if (done < 5) {
      const agent = `agent ${random.int(0, 4)}`;
      const bytes = random.int(0, 300_000);
      const more = { urgency: random.pick(URGENCIES), bytes, sinceMs: nowMs };
      const item = waiting(`tenant ${random.int(0, 6)}`, agent, more);
      queue.push(item);
      inside.add(item);
    } else if (done < 9) {
      const item = queue.shift();
      assert.equal(item === undefined, inside.size === 0);
      if (item === undefined) continue;
      out(item);
      const key = `${item.urgency} ${item.tenant} ${item.agent}`;
      assert.ok(item.sinceMs > (last.get(key) ?? -1), `${key} out of order`);
      last.set(key, item.sinceMs);
    } else if (random.chance(0.5)) {
      const item = queue.displace(waiting('tenant 9', 'agent'));
      if (item !== undefined) out(item);
    } else {
      for (const item of queue.expire(nowMs - 40)) out(item);
      for (const { sinceMs } of inside) assert.ok(sinceMs >= nowMs - 40);
    }
    assert.equal(queue.size, inside.size);
  }
  for (const item of drain(queue)) out(item);
  assert.equal(inside.size, 0);
  assert.equal(queue.bytes, 0);
});
