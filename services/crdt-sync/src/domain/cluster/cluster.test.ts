import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import { testSeed } from '@memplane/testkit';
import { Membership } from '../membership.ts';
import { MemoryMembership, SimulatedReplicas } from './simulated-replicas.ts';

const { seed } = testSeed('cluster');
const bytes = (text: string) => Buffer.from(text);

async function grown(ids: readonly string[], options = {}): Promise<SimulatedReplicas> {
  const sim = new SimulatedReplicas(seed);
  for (const id of ids) await sim.start(id, ids, options);
  await sim.until(
    () => ids.every((id) => sim.get(id).cluster.live().length === ids.length - 1),
    10_000,
  );
  return sim;
}

test('replicas find each other by one list, whoever starts first, and after a cut', async () => {
  const sim = new SimulatedReplicas(seed);
  const ids = ['a', 'b', 'c', 'd'];
  sim.split(['a', 'b'], ['c', 'd']);
  for (const id of ids) await sim.start(id, ids);
  await sim.run(20_000);
  assert.deepEqual(sim.get('a').cluster.live(), ['b']);
  const version = sim.get('a').cluster.viewVersion;
  sim.network.healAll();
  // Attempts under way end after 10 s. Neither side ever heard of the other: only the list tells that there is one.
  await sim.until(() => ids.every((id) => sim.get(id).cluster.live().length === 3), 16_000);
  assert.ok(sim.get('a').cluster.viewVersion > version);
  const steady = sim.get('a').cluster.viewVersion;
  await sim.run(30_000);
  assert.equal(sim.get('a').cluster.viewVersion, steady);
  sim.stop();
});

test('a name stands for all its addresses, the own one and unknown names do no harm', async () => {
  const sim = new SimulatedReplicas(seed);
  const resolve = async (host: string) => {
    if (/^[\d.]+$/.test(host)) return [host];
    if (host === 'unknown') throw new Error('ENOTFOUND');
    return ['a', 'b', 'c'].map((id) => SimulatedReplicas.addressOf(id).replace(':7946', ''));
  };
  for (const id of ['a', 'b', 'c']) {
    const { cluster } = await sim.start(id, [], { resolve });
    cluster.join(['unknown:7946', 'replicas.local:7946']);
  }
  await sim.until(() => sim.get('a').cluster.live().length === 2, 10_000);
  assert.equal(sim.get('a').cluster.metrics.dropped.own_id, 0);
  sim.stop();
});

test('messages reach their channel, small and large; what nobody knows is counted', async () => {
  const sim = await grown(['a', 'b']);
  const got: string[] = [];
  const [a, b] = [sim.get('a').cluster, sim.get('b').cluster];
  b.on('replication', (from, payload) => got.push(`${from} ${payload.length}`));
  assert.throws(() => b.on('replication', () => {}), RangeError);
  a.send('b', 'replication', bytes('x'));
  a.send('b', 'replication', new Uint8Array(100_000));
  a.send('b', 'heartbeat', bytes('x'), { stream: true });
  a.send('nobody', 'replication', bytes('x'));
  await sim.run(100);
  assert.deepEqual(got.sort(), ['a 1', 'a 100000']);
  assert.equal(b.stats.unknownChannel, 1);
  assert.deepEqual([a.stats.sent, a.stats.sendsFailed], [3, 1]);
  sim.stop();
});

test('calls are answered, refused, given up, and bounded', async () => {
  const sim = await grown(['a', 'b'], { pendingCallsMax: 2, servedCallsMax: 1 });
  const [a, b] = [sim.get('a').cluster, sim.get('b').cluster];
  const gate = Promise.withResolvers<void>();
  b.onCall(1, async (from, question) => bytes(`${from} asked ${Buffer.from(question)}`));
  b.onCall(2, async () => {
    throw new MemplaneError('counter_overflow', 'Too much.\nReally.');
  });
  b.onCall(3, async () => {
    throw new Error('a secret');
  });
  b.onCall(4, () => gate.promise.then(() => new Uint8Array(200_000)));
  assert.throws(() => b.onCall(4, async () => bytes('')), RangeError);
  assert.throws(() => b.onCall(256, async () => bytes('')), RangeError);
  const call = async (method: number, to = 'b') => {
    const answer = a.call(to, method, bytes('x'), 500);
    answer.catch(() => {});
    await sim.run(100);
    return answer;
  };
  assert.equal(Buffer.from(await call(1)).toString(), 'a asked x');
  await assert.rejects(call(2), { code: 'counter_overflow', message: 'Too much.\nReally.' });
  await assert.rejects(call(3), (error) => {
    return error instanceof MemplaneError && !error.message.includes('secret');
  });
  await assert.rejects(call(9), { code: 'not_implemented' });
  await assert.rejects(call(1, 'nobody'), { code: 'dependency_unavailable' });
  const slow = a.call('b', 4, bytes('x'), 500);
  await sim.run(10);
  await assert.rejects(call(4), { code: 'overloaded', message: /being answered/ });
  gate.resolve();
  await sim.run(100);
  assert.equal((await slow).length, 200_000);
  sim.cut(['b'], ['a']);
  const lost = [1, 1].map((method) => a.call('b', method, bytes('x'), 500));
  for (const each of lost) each.catch(() => {});
  await assert.rejects(a.call('b', 1, bytes('x'), 500), { code: 'overloaded' });
  await sim.run(600);
  for (const each of lost) await assert.rejects(each, { code: 'dependency_unavailable' });
  const last = a.call('b', 1, bytes('x'), 500);
  last.catch(() => {});
  a.stop();
  await assert.rejects(last, { code: 'shutting_down' });
  sim.stop();
});

test('who is forgotten is refused by all for good, over restarts, and learns of it', async () => {
  const told: string[] = [];
  const sim = await grown(['a', 'b', 'c']);
  sim.kill('c');
  await sim.start('c', ['a'], { onSelfForgotten: () => told.push('c') });
  await sim.until(() => sim.get('b').cluster.live().length === 2, 30_000);
  sim.network.cut(SimulatedReplicas.addressOf('a'), SimulatedReplicas.addressOf('b'));
  await assert.rejects(sim.get('a').cluster.forget('a'), { code: 'invalid_request' });
  await sim.get('a').cluster.forget('c');
  assert.deepEqual(sim.stores.get('a')?.record?.forgotten, ['c']);
  // It is told first, and tells the one that can not be reached from there.
  await sim.until(() => told.length === 1, 1_000);
  sim.network.healAll();
  await sim.until(() => sim.get('b').membership.isForgotten('c'), 60_000);
  await sim.get('b').membership.save();
  assert.deepEqual(sim.get('b').cluster.live(), ['a']);
  sim.kill('a');
  sim.stores.delete('c');
  await sim.start('a', ['b']);
  // Its folder is gone, so that only the others know.
  await sim.start('c', ['a', 'b'], { onSelfForgotten: () => told.push('c again') });
  await sim.run(60_000);
  assert.deepEqual(told, ['c', 'c again']);
  assert.deepEqual(sim.get('a').cluster.live(), ['b']);
  assert.deepEqual(sim.get('c').cluster.live(), []);
  sim.stop();
});

test('one that left comes again, and one that lost all others begins anew', async () => {
  const sim = await grown(['a', 'b', 'c']);
  const left = sim.get('c').cluster.leave();
  await sim.run(3_000);
  await left;
  sim.kill('c');
  assert.deepEqual(
    sim
      .get('a')
      .cluster.members()
      .map(({ id, status }) => `${id} ${status}`),
    ['a alive', 'b alive', 'c left'],
  );
  await sim.start('c', ['a', 'b', 'c']);
  await sim.until(() => sim.get('a').cluster.live().length === 2, 10_000);
  sim.split(['a'], ['b', 'c']);
  await sim.until(() => sim.get('a').cluster.live().length === 0, 120_000);
  sim.network.healAll();
  await sim.until(() => sim.get('a').cluster.live().length === 2, 15_000);
  sim.stop();
});

test('each start has a higher epoch, also where the clock was set back', async () => {
  const store = new MemoryMembership();
  const begin = (nowMs: number) =>
    Membership.begin({ store, before: store.record, now: () => nowMs, forgottenMax: 2 });
  assert.equal((await begin(1_000)).startEpoch, 1_000);
  assert.equal((await begin(500)).startEpoch, 1_001);
  const membership = await begin(2_000);
  const added: (readonly string[])[] = [];
  membership.onForgotten = (ids) => added.push(ids);
  membership.merge(['x']);
  membership.merge(['x', 'y', 'z']);
  assert.deepEqual(added, [['x'], ['y']]);
  assert.equal(membership.unsaved, true);
  store.fails = true;
  await assert.rejects(membership.save());
  assert.equal(membership.unsaved, true);
  store.fails = false;
  await membership.save();
  assert.deepEqual(store.record, { startEpoch: 2_000, forgotten: ['x', 'y'] });
  await membership.forget('x');
  await assert.rejects(membership.forget('new'), { code: 'overloaded' });
  store.fails = true;
  await assert.rejects(begin(3_000));
});
