import assert from 'node:assert/strict';
import { test } from 'node:test';
import { figure, testSeed } from '@memplane/testkit';
import { SimulatedCluster } from './testing/simulated-cluster.ts';

const { seed } = testSeed('own health');

test('a member that hears nobody doubts itself, and probes more slowly', () => {
  const cluster = new SimulatedCluster(seed);
  const members = cluster.grow(8);
  const [lonely, ...others] = members;
  const before = lonely!.gossip.metrics.probes;
  cluster.network.split(
    [lonely!.host.address],
    others.map(({ host }) => host.address),
  );
  cluster.time.run(15_000);
  const { healthScore, metrics } = lonely!.gossip;
  figure('health score of a member cut off for 15 s', healthScore);
  assert.ok(healthScore >= 4);
  assert.ok(metrics.nacksMissed > 0);
  assert.ok(metrics.probes - before <= 8);
  for (const { gossip } of others) assert.ok(gossip.healthScore <= 2);
  cluster.network.healAll();
  cluster.time.runUntil(() => cluster.agrees(8), 120_000);
  cluster.time.run(120_000);
  assert.equal(lonely!.gossip.healthScore, 0);
});

test('a member whose helpers tell their failure does not doubt itself', () => {
  const cluster = new SimulatedCluster(seed);
  const members = cluster.grow(8);
  cluster.time.run(5_000);
  cluster.kill(members[7]!);
  cluster.time.runUntil(() => cluster.allSee('m07', 'dead'), 60_000);
  let nacks = 0;
  for (const { gossip } of cluster.live) {
    nacks += gossip.metrics.nacksReceived;
    assert.equal(gossip.healthScore, 0);
    assert.equal(gossip.metrics.nacksMissed, 0);
  }
  assert.ok(nacks > 0);
});

test('a process that stood still blames nobody', () => {
  const cluster = new SimulatedCluster(seed);
  const members = cluster.grow(6);
  cluster.time.run(3_000);
  for (const { host } of members) host.pause();
  cluster.time.run(60_000);
  for (const { host } of members) host.resume();
  cluster.time.run(60_000);
  assert.equal(cluster.count('suspected'), 0);
  assert.ok(members.every(({ gossip }) => gossip.metrics.stalls > 0));
});
