import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '@memplane/testkit';
import { BroadcastQueue } from './core/broadcast-queue.ts';
import { META_BYTES_MAX } from './member.ts';
import { SimulatedCluster, statusOf } from './testing/simulated-cluster.ts';

const { seed } = testSeed('payloads');

test('what is offered rides along, and no packet is larger than it may be', () => {
  for (const packetBytesMax of [1_300, 1_400, 9_000]) {
    const cluster = new SimulatedCluster(seed, { settings: { packetBytesMax } });
    const heard = new Map<string, Set<string>>();
    let largest = 0;
    cluster.network.tap = (_from, _to, packet) => {
      largest = Math.max(largest, packet.length);
    };
    const members = Array.from({ length: 8 }, (_, i) => {
      const news = new BroadcastQueue(64);
      const known = new Set<string>();
      const learn = (payload: Uint8Array) => {
        const text = Buffer.from(payload.subarray(0, 8)).toString();
        if (known.has(text)) return;
        known.add(text);
        news.put(text, payload);
      };
      heard.set(`m${i}`, known);
      const member = cluster.start(`m${i}`, {
        meta: Buffer.alloc(META_BYTES_MAX, i),
        hooks: {
          onMessage: learn,
          offer: (overheadBytes, limitBytes) => news.take(limitBytes, 16, overheadBytes),
        },
      });
      learn(Buffer.from(`news ${i}`.padEnd(8).padEnd(cluster.random.int(8, 600), '.')));
      return member;
    });
    for (const member of members.slice(1)) cluster.join(member, members[0]);
    cluster.time.run(10_000);
    for (const known of heard.values()) assert.equal(known.size, 8);
    assert.ok(largest <= packetBytesMax && largest > 1_000, `${largest}`);
  }
});

test('a payload of more than the offered room is let go and counted', () => {
  const cluster = new SimulatedCluster(seed);
  const greedy = cluster.start('a', {
    hooks: { offer: (_overhead, limitBytes) => [new Uint8Array(limitBytes)] },
  });
  cluster.join(greedy, cluster.start('b'));
  cluster.time.run(3_000);
  assert.ok(greedy.gossip.metrics.dropped.payload_too_large > 0);
  assert.equal(cluster.agrees(2), true);
});

test('a payload for one goes in a packet if it fits, else over a stream', async () => {
  const cluster = new SimulatedCluster(seed, {
    settings: { membersMax: 16, streamBytesMax: 65_536 },
  });
  const got: [number, string][] = [];
  const [one] = cluster.grow(2);
  const two = cluster.start('two', {
    hooks: { onMessage: (payload, from) => got.push([payload.length, from]) },
  });
  cluster.join(two, one);
  cluster.time.runUntil(() => cluster.agrees(3), 5_000);
  const streams = one!.gossip.metrics.streamsSent;
  await one!.gossip.send('two', new Uint8Array(1_000));
  assert.equal(one!.gossip.metrics.streamsSent, streams);
  const large = one!.gossip.send('two', new Uint8Array(50_000));
  const small = one!.gossip.send('two', new Uint8Array(3), { stream: true });
  assert.equal(one!.gossip.metrics.streamsSent, streams + 2);
  cluster.time.run(100);
  await Promise.all([large, small]);
  assert.deepEqual(
    got.sort(([a], [b]) => a - b),
    [3, 1_000, 50_000].map((length) => [length, 'm00']),
  );
  await assert.rejects(one!.gossip.send('nobody', new Uint8Array(3)), { code: 'not_found' });
  await assert.rejects(one!.gossip.send('m00', new Uint8Array(3)), { code: 'not_found' });
  await assert.rejects(one!.gossip.send('two', new Uint8Array(65_536)), { code: 'body_too_large' });
  cluster.kill(two);
  const lost = one!.gossip.send('two', new Uint8Array(3), { stream: true });
  lost.catch(() => {});
  cluster.time.run(100);
  await assert.rejects(lost, { code: 'dependency_unavailable' });
});

test('one that is held for dead is sent to where that is wished', async () => {
  const cluster = new SimulatedCluster(seed);
  const got: string[] = [];
  const [one] = cluster.grow(2);
  const mute = cluster.start('mute', { hooks: { onMessage: (_, from) => got.push(from) } });
  cluster.join(mute, one);
  cluster.time.runUntil(() => cluster.agrees(3), 5_000);
  for (const { host } of cluster.live) cluster.network.cut(mute.host.address, host.address);
  cluster.time.runUntil(() => statusOf(one!.gossip, 'mute') === 'dead', 60_000);
  await assert.rejects(one!.gossip.send('mute', new Uint8Array(3)), { code: 'not_found' });
  await one!.gossip.send('mute', new Uint8Array(3), { evenIfDead: true });
  cluster.time.run(100);
  assert.deepEqual(got, ['m00']);
});

test('a push-pull carries state both ways, and says who joins', () => {
  const cluster = new SimulatedCluster(seed, { settings: { pushPullIntervalMs: 1_000 } });
  const merged: string[] = [];
  const options = (id: string) => ({
    hooks: {
      localState: (join: boolean) => Buffer.from(`${id} ${join}`),
      mergeState: (state: Uint8Array, join: boolean, from: string) =>
        void merged.push(`${id} < ${from}: ${Buffer.from(state)} ${join}`),
    },
  });
  const a = cluster.start('a', options('a'));
  cluster.join(cluster.start('b', options('b')), a);
  cluster.time.run(100);
  assert.deepEqual(merged.slice(0, 2), ['a < b: b true true', 'b < a: a true true']);
  cluster.time.run(3_000);
  assert.ok(merged.includes('a < b: b false false') && merged.includes('b < a: a false false'));
});

test('a state that is too large stays behind, the members are exchanged nevertheless', () => {
  const cluster = new SimulatedCluster(seed, {
    settings: { membersMax: 16, streamBytesMax: 65_536 },
  });
  const a = cluster.start('a', { hooks: { localState: () => new Uint8Array(70_000) } });
  cluster.join(cluster.start('b'), a);
  cluster.time.run(1_000);
  assert.ok(cluster.agrees(2));
  assert.ok(a.gossip.metrics.dropped.payload_too_large > 0);
});

test('a function of the application that throws harms nobody', () => {
  const cluster = new SimulatedCluster(seed);
  const fail = () => {
    throw new Error('as planned');
  };
  const hooks = { onEvent: fail, offer: fail, localState: fail, mergeState: fail, onMessage: fail };
  const a = cluster.start('a', { hooks });
  const b = cluster.start('b', { hooks: { localState: () => Buffer.from('state') } });
  cluster.join(b, a);
  cluster.time.run(5_000);
  void b.gossip.send('a', new Uint8Array(5));
  cluster.time.run(100);
  assert.ok(cluster.agrees(2));
  assert.ok(a.gossip.metrics.dropped.hook_threw >= 5);
});
