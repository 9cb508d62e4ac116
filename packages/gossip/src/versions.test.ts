import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import { testSeed } from '@memplane/testkit';
import { SimulatedCluster } from './testing/simulated-cluster.ts';

const { seed } = testSeed('versions');

test('the lowest common version is spoken, and the next once the old members are gone', () => {
  const cluster = new SimulatedCluster(seed);
  const old = cluster.start('old', { protocol: { min: 1, max: 1 } });
  const renewed = ['a', 'b', 'c'].map((id) => cluster.start(id, { protocol: { min: 1, max: 2 } }));
  for (const member of renewed) {
    assert.equal(member.gossip.protocolVersion, 2);
    cluster.join(member, old);
  }
  cluster.time.runUntil(() => cluster.agrees(4), 60_000);
  for (const { gossip } of cluster.live) assert.equal(gossip.protocolVersion, 1);
  void old.gossip.leave();
  cluster.time.runUntil(() => cluster.allSee('old', 'left'), 60_000);
  cluster.kill(old);
  for (const { gossip } of renewed) assert.equal(gossip.protocolVersion, 2);
  const spoken = renewed.map(({ gossip }) => gossip.metrics.dropped.version);
  cluster.time.run(60_000);
  const later = renewed.map(({ gossip }) => gossip.metrics.dropped.version);
  assert.deepEqual(later, spoken);
  assert.equal(cluster.count('failed'), 0);
});

test('one that joins finds the version, or is told that there is none', async () => {
  const cluster = new SimulatedCluster(seed);
  const first = cluster.start('a', { protocol: { min: 2, max: 3 } });
  cluster.join(cluster.start('b', { protocol: { min: 2, max: 3 } }), first);
  const newer = cluster.start('c', { protocol: { min: 3, max: 5 } });
  cluster.join(newer, first);
  cluster.time.runUntil(() => cluster.agrees(3), 60_000);
  assert.equal(newer.gossip.protocolVersion, 3);
  const stranger = cluster.start('d', { protocol: { min: 1, max: 1 } });
  const joining = stranger.gossip.join([first.host.address]);
  joining.catch(() => {});
  cluster.time.run(5_000);
  await assert.rejects(joining, (error) => {
    assert.ok(error instanceof MemplaneError && error.cause instanceof MemplaneError);
    return error.cause.code === 'invalid_request';
  });
  assert.equal(first.gossip.members().length, 3);
});
