import assert from 'node:assert/strict';
import { test } from 'node:test';
import { figure, scaled, testSeed } from '@memplane/testkit';
import type { GossipSettings } from './settings.ts';
import { SimulatedCluster } from './testing/simulated-cluster.ts';

const { seed } = testSeed('failure detection');
const DAY_MS = 24 * 3_600_000;
const LOSS_MINUTES = scaled('gossip_loss_minutes', { ci: 15, soak: 1_440 });
const DEATHS = scaled('gossip_deaths', { ci: 12, soak: 1_000 });
const STARVED_SECONDS = scaled('gossip_starved_seconds', { ci: 180, soak: 3_600 });

for (const probeByStream of [true, false]) {
  const how = probeByStream ? 'with' : 'without';
  test(`no member is held for dead at 10 % loss, ${how} streams`, () => {
    const cluster = new SimulatedCluster(seed, {
      driftMax: 0.02,
      network: { lossRate: 0.1, duplicateRate: 0.02, lateRate: 0.02, lateMs: 300 },
      settings: { probeByStream },
    });
    cluster.grow(10);
    cluster.time.run(LOSS_MINUTES * 60_000);
    const total = (name: 'probes' | 'probesFailed') =>
      cluster.live.reduce((sum, { gossip }) => sum + gossip.metrics[name], 0);
    figure(`probes at 10 % loss ${how} streams`, total('probes'));
    figure(`probes failed at 10 % loss ${how} streams`, total('probesFailed'));
    figure(`suspicions seen at 10 % loss ${how} streams`, cluster.count('suspected'));
    assert.equal(cluster.falseDeaths(), 0);
    cluster.time.runUntil(() => cluster.agrees(10), 60_000);
  });
}

test('a member that one other can not reach stays alive, as others can', () => {
  const cluster = new SimulatedCluster(seed);
  const [one, two] = cluster.grow(6);
  cluster.network.cut(one!.host.address, two!.host.address);
  cluster.time.run(180_000);
  assert.ok(one!.gossip.metrics.probesIndirect > 0);
  assert.equal(cluster.count('failed'), 0);
});

test('a member that only hears and can not answer is found dead', () => {
  const cluster = new SimulatedCluster(seed);
  const [one] = cluster.grow(6);
  for (const { host } of cluster.live) {
    if (host !== one!.host) cluster.network.cut(one!.host.address, host.address);
  }
  cluster.time.runUntil(() => cluster.allSee('m00', 'dead'), 60_000);
});

test('that one of 32 members is dead is known to all others within 10 s', () => {
  const ms = Array.from({ length: DEATHS }, (_, run) => {
    const cluster = new SimulatedCluster(seed + run);
    cluster.grow(32);
    cluster.time.run(5_000 + cluster.random.int(0, 1_000));
    cluster.kill(cluster.members.get('m31')!);
    const tookMs = cluster.time.runUntil(() => cluster.allSee('m31', 'dead'), 60_000);
    assert.equal(cluster.falseDeaths(), 0);
    cluster.stop();
    return tookMs;
  });
  ms.sort((a, b) => a - b);
  figure(`a dead member of 32 known to all, median of ${DEATHS}`, ms[DEATHS >> 1]!, 'ms');
  figure(`a dead member of 32 known to all, worst of ${DEATHS}`, ms.at(-1)!, 'ms');
  // SWIM's shortest suspicion alone takes 6 s of it; by chance alone one in twenty takes longer.
  assert.ok(ms.at(-1)! <= 10_000);
});

interface Starvation {
  readonly suspicions: number;
  readonly deaths: number;
}

/** A quarter of the members get the processor for some milliseconds in every few seconds. */
function starve(settings: Partial<GossipSettings>): Starvation {
  const cluster = new SimulatedCluster(seed, {
    settings,
    network: { delayMinMs: 5, delayMaxMs: 30 },
  });
  const starved = cluster.grow(16).slice(0, 4);
  const random = cluster.random.fork(7);
  for (const { host } of starved) {
    const pause = () => {
      host.pause();
      cluster.time.after(random.int(300, 6_000), () => {
        host.resume();
        cluster.time.after(random.int(5, 60), pause);
      });
    };
    cluster.time.after(random.int(0, 5_000), pause);
  }
  cluster.time.run(STARVED_SECONDS * 1_000);
  const healthy = (id: string) => starved.every((member) => member.id !== id);
  return {
    suspicions: cluster.count('suspected', healthy),
    deaths: cluster.count('failed', healthy),
  };
}

test('starved members do not accuse healthy ones; without local health they do', () => {
  const withAll = starve({});
  const withoutStalls = starve({ stallMs: DAY_MS });
  const withNone = starve({ stallMs: DAY_MS, awarenessMax: 0, suspicionMaxTimeoutMult: 1 });
  for (const [name, { deaths, suspicions }] of Object.entries({
    'health and stalls': withAll,
    'health alone': withoutStalls,
    neither: withNone,
  })) {
    figure(`healthy members suspected by starved ones, with ${name}`, suspicions);
    figure(`healthy members held for dead, with ${name}`, deaths);
  }
  assert.equal(withAll.deaths, 0);
  assert.ok(withNone.suspicions > 5 * withAll.suspicions, 'the planted bug shows');
  assert.ok(withNone.suspicions > 2 * withoutStalls.suspicions);
  assert.ok(withNone.deaths > 0);
});
