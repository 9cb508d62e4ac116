import assert from 'node:assert/strict';
import { test } from 'node:test';
import { figure, testSeed } from '@memplane/testkit';
import { SimulatedCluster, statusOf } from './testing/simulated-cluster.ts';

const { seed } = testSeed('membership');

for (const count of [2, 5, 32]) {
  test(`${count} members that join by one all know all`, () => {
    const cluster = new SimulatedCluster(seed, { driftMax: 0.02 });
    cluster.grow(count);
    figure(`join of ${count}`, cluster.time.nowMs, 'ms');
    cluster.time.run(60_000);
    assert.equal(cluster.count('suspected'), 0);
    assert.equal(cluster.count('joined'), count * (count - 1));
  });
}

test('a run repeats from its seed to the byte, and another seed gives another', () => {
  const run = (from: number) => {
    const cluster = new SimulatedCluster(from, {
      driftMax: 0.05,
      network: { lossRate: 0.1, duplicateRate: 0.05, lateRate: 0.05, lateMs: 400 },
    });
    const [, second, third] = cluster.grow(8);
    cluster.kill(second!);
    cluster.time.run(10_000);
    third!.host.pause();
    cluster.time.run(3_000);
    third!.host.resume();
    cluster.time.run(60_000);
    return `${cluster.network.trace.steps} ${cluster.network.trace.digest()}`;
  };
  assert.equal(run(seed), run(seed));
  assert.notEqual(run(seed), run(seed + 1));
});

test('a member that dies is known to be dead by all', () => {
  for (const count of [5, 32]) {
    const cluster = new SimulatedCluster(seed, { driftMax: 0.02 });
    const members = cluster.grow(count);
    cluster.time.run(5_000);
    const victim = members[count - 1]!;
    const diedMs = cluster.time.nowMs;
    cluster.kill(victim);
    cluster.time.runUntil(() => cluster.allSee(victim.id, 'dead'), 60_000);
    const tookMs = cluster.time.nowMs - diedMs;
    const first = (type: string) =>
      Math.min(
        ...cluster.live.flatMap(({ events }) =>
          events.filter(({ event }) => event.type === type).map(({ atMs }) => atMs - diedMs),
        ),
      );
    figure(`death among ${count}: first suspicion`, Math.round(first('suspected')), 'ms');
    figure(`death among ${count}: first verdict`, Math.round(first('failed')), 'ms');
    figure(`death among ${count}: known to all`, Math.round(tookMs), 'ms');
    assert.equal(cluster.falseDeaths(), 0);
    assert.ok(tookMs < 45_000);
  }
});

for (const cutMs of [20_000, 40_000, 180_000]) {
  test(`a cut 2|3 of ${cutMs / 1000} s is seen by both sides, and heals`, () => {
    const cluster = new SimulatedCluster(seed);
    const members = cluster.grow(5);
    cluster.time.run(5_000);
    const addresses = members.map(({ host }) => host.address);
    cluster.network.split(addresses.slice(0, 2), addresses.slice(2));
    cluster.time.run(cutMs);
    if (cutMs > 60_000) {
      const sees = (i: number, j: number) => statusOf(members[i]!.gossip, `m0${j}`);
      assert.equal(sees(0, 1), 'alive');
      assert.equal(sees(2, 4), 'alive');
      for (const [i, j] of [
        [0, 2],
        [1, 4],
        [3, 0],
      ]) {
        assert.equal(sees(i!, j!), 'dead');
      }
    }
    cluster.network.healAll();
    const tookMs = cluster.time.runUntil(() => cluster.agrees(5), 120_000);
    figure(`healed after a cut of ${cutMs / 1000} s`, tookMs, 'ms');
  });
}

test('a member that is held for dead comes again, with a higher incarnation', () => {
  const cluster = new SimulatedCluster(seed);
  const members = cluster.grow(5);
  const [one, , third] = members;
  third!.host.pause();
  cluster.time.runUntil(() => cluster.allSee('m02', 'dead'), 120_000);
  third!.host.resume();
  cluster.time.runUntil(() => cluster.agrees(5), 60_000);
  assert.ok(third!.gossip.self.incarnation > 1);
  assert.ok(third!.gossip.metrics.refutations > 0);
  const back = one!.events.find(({ event }) => event.type === 'alive-again');
  assert.ok(back?.event.type === 'alive-again' && back.event.was === 'dead');
});

test('a suspicion that is not true is refuted', () => {
  const cluster = new SimulatedCluster(seed);
  const [one, two] = cluster.grow(5);
  cluster.time.run(2_000);
  for (const other of cluster.live) {
    if (other === two) continue;
    cluster.network.cut(other.host.address, two!.host.address);
  }
  cluster.time.runUntil(() => statusOf(one!.gossip, 'm01') === 'suspect', 30_000);
  cluster.network.healAll();
  cluster.time.runUntil(() => cluster.agrees(5), 60_000);
  assert.equal(
    cluster.count('failed', (id) => id === 'm01'),
    0,
  );
  assert.ok(two!.gossip.self.incarnation > 1);
  assert.ok(one!.events.some(({ event }) => event.type === 'alive-again'));
});
