import assert from 'node:assert/strict';
import { test } from 'node:test';
import { figure, seeded, testSeed } from '@memplane/testkit';
import type { GossipSettings } from './settings.ts';
import { SimulatedCluster } from './testing/simulated-cluster.ts';

const { seed } = testSeed('lists');
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** How exactly times are told. */
const STEP_MS = 500;
/** Nothing goes by datagrams: what is heard is heard by exchanges of lists. */
const LISTS_ALONE = { gossipIntervalMs: DAY_MS, probeIntervalMs: DAY_MS, probeTimeoutMs: 1_000 };
const DIGESTS: Partial<GossipSettings> = {
  ...LISTS_ALONE,
  pushPullIntervalMs: 1_000,
  wholeListsMembers: 1,
};

function grown(members: number, settings: Partial<GossipSettings>, from = seed): SimulatedCluster {
  const cluster = new SimulatedCluster(from, { settings });
  const ids = Array.from({ length: members }, (_, i) => `m${String(i).padStart(2, '0')}`);
  const all = ids.map((id) => cluster.start(id));
  for (const member of all.slice(1)) cluster.join(member, all[0]);
  cluster.time.runUntil(() => cluster.agrees(members), HOUR_MS, STEP_MS);
  return cluster;
}

function sum(cluster: SimulatedCluster, of: 'pushPulls' | 'comparisons' | 'streamsFailed'): number {
  return cluster.live.reduce((total, { gossip }) => total + gossip.metrics[of], 0);
}

/** What a member of a quiet cluster sends in lists, in bytes a second. */
function listBytesPerS(members: number, settings: Partial<GossipSettings>): number {
  const cluster = grown(members, settings);
  const before = cluster.network.sentBytes.streams;
  const periodMs = 200_000;
  cluster.time.run(periodMs);
  return (cluster.network.sentBytes.streams - before) / members / (periodMs / 1_000);
}

test('lists cost a member about as much with five times as many members', () => {
  const settings = { ...DIGESTS, pushPullIntervalMs: 2_000, wholeListsMembers: 4 };
  const [few = 0, many = 0] = [12, 60].map((members) => listBytesPerS(members, settings));
  figure('lists of 60 members against 12', many / few, 'times');
  assert.ok(many < 1.2 * few, `${many} B/s with 60 members, ${few} B/s with 12`);
});

test('what a member missed reaches it as soon by digests as by whole lists', () => {
  const RUNS = 3;
  const toldMs = (settings: Partial<GossipSettings>) => {
    let sumMs = 0;
    for (let run = 0; run < RUNS; run++) {
      const cluster = grown(24, settings, seeded(seed).fork(run).seed);
      cluster.live[0]?.gossip.setMeta(Buffer.from('news'));
      const others = () => cluster.count('updated', (id) => id === 'm00');
      sumMs += cluster.time.runUntil(() => others() === 23, HOUR_MS, STEP_MS);
    }
    return sumMs / RUNS;
  };
  // The same interval: that of digests is six times as long with 24 members as with one.
  const whole = toldMs({ ...LISTS_ALONE, pushPullIntervalMs: 6_000 });
  const digests = toldMs(DIGESTS);
  figure('news by digests against whole lists', digests / whole, 'times');
  assert.ok(digests < 1.25 * whole, `${digests} ms by digests, ${whole} ms by whole lists`);
});

test('lists that are equal are compared by digests alone, for who left is not in them', () => {
  const cluster = grown(20, DIGESTS);
  const gone = cluster.live[1]!;
  void gone.gossip.leave();
  cluster.time.runUntil(() => cluster.allSee('m01', 'left'), HOUR_MS, STEP_MS);
  cluster.kill(gone);
  // Half of them don't know it, like one that joins later.
  for (const { gossip } of cluster.live.slice(0, 10)) gossip.forget('m01');
  cluster.time.run(60_000);
  const pushPulls = sum(cluster, 'pushPulls');
  const comparisons = sum(cluster, 'comparisons');
  cluster.time.run(300_000);
  const whole = sum(cluster, 'pushPulls') - pushPulls;
  const all = whole + sum(cluster, 'comparisons') - comparisons;
  // The chance is 6 / 19.
  assert.ok(whole < 0.45 * all, `${whole} of ${all} exchanges were of whole lists`);
});

test('members of version 1 get whole lists, until the last of them is gone', () => {
  const cluster = new SimulatedCluster(seed, { settings: DIGESTS });
  const old = cluster.start('old', { protocol: { min: 1, max: 1 } });
  for (let i = 0; i < 15; i++) cluster.join(cluster.start(`new${i}`), old);
  cluster.time.runUntil(() => cluster.agrees(16), HOUR_MS, STEP_MS);
  const failed = sum(cluster, 'streamsFailed');
  const before = sum(cluster, 'comparisons');
  cluster.time.run(60_000);
  assert.equal(sum(cluster, 'comparisons'), before);
  assert.equal(sum(cluster, 'streamsFailed'), failed);
  assert.equal(old.gossip.metrics.dropped.unknown_message, 0);
  cluster.kill(old);
  for (const { gossip } of cluster.live) gossip.forget('old');
  cluster.time.run(60_000);
  assert.ok(sum(cluster, 'comparisons') > before);
});

test('a member that goes back to version 1 is understood although nobody was told', () => {
  const cluster = grown(8, DIGESTS);
  const last = cluster.live[7]!;
  cluster.kill(last);
  const protocol = { min: 1, max: 1 };
  const again = cluster.start('m07', { address: last.host.address, protocol });
  const failed = sum(cluster, 'streamsFailed');
  const agreed = () => cluster.live.every(({ gossip }) => gossip.protocolVersion === 1);
  cluster.time.runUntil(agreed, HOUR_MS, STEP_MS);
  assert.equal(sum(cluster, 'streamsFailed'), failed);
  assert.equal(again.gossip.metrics.dropped.unknown_message, 0);
});
