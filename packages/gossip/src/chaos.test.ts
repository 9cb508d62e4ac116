import assert from 'node:assert/strict';
import { test } from 'node:test';
import { figure, scaled, seeded, testSeed } from '@memplane/testkit';
import { KEY_BYTES, KeyRing } from './security/key-ring.ts';
import { SimulatedCluster, type SimulatedMember } from './testing/simulated-cluster.ts';

const { seed } = testSeed('chaos');
const ROUNDS = scaled('gossip_chaos_rounds', { ci: 4, soak: 2_000 });
const MEMBERS = 7;
const STEPS = 40;
const keyRing = new KeyRing([new Uint8Array(KEY_BYTES).fill(3)]);

/** Kills, leaves, pauses and cuts members at random, then lets all of it end. */
class Chaos {
  readonly cluster: SimulatedCluster;
  readonly #down = new Set<string>();

  constructor(from: number) {
    this.cluster = new SimulatedCluster(from, {
      driftMax: 0.05,
      network: { duplicateRate: 0.05, lateRate: 0.05, lateMs: 1_500 },
    });
    for (let i = 0; i < MEMBERS; i++) this.#start(`m${i}`);
  }

  run(): void {
    const { network, random, time } = this.cluster;
    for (let i = 0; i < STEPS; i++) {
      this.#act(random.pick(this.#all));
      const lossRate = random.pick([0, 0, 0.1, 0.4]);
      network.conditions = { ...network.conditions, lossRate };
      time.run(random.int(10, 15_000));
    }
    network.conditions = { ...network.conditions, lossRate: 0 };
    network.healAll();
    for (const { host } of this.#all) host.resume();
    for (const id of [...this.#down]) this.#start(id);
  }

  get #all(): SimulatedMember[] {
    return [...this.cluster.members.values()];
  }

  #act(member: SimulatedMember): void {
    const { network, random, time } = this.cluster;
    const other = random.pick(this.#all);
    if (this.#down.has(member.id)) {
      this.#start(member.id, random.chance(0.5) ? member.host.address : undefined);
      return;
    }
    switch (random.int(0, 6)) {
      case 0:
        this.#stop(member);
        break;
      case 1:
        member.gossip.leave().catch(() => {});
        time.run(random.int(0, 6_000));
        this.#stop(member);
        break;
      case 2:
        member.host.pause();
        time.after(random.int(100, 60_000), () => member.host.resume());
        break;
      case 3:
        network.cut(member.host.address, other.host.address);
        break;
      case 4:
        network.split(
          [member.host.address],
          this.#all.filter((one) => one !== member).map(({ host }) => host.address),
        );
        break;
      case 5:
        network.healAll();
        break;
      default:
        member.gossip.setMeta(random.fork(1).pick([Buffer.from('x'), Buffer.from(other.id)]));
    }
  }

  #stop(member: SimulatedMember): void {
    this.#down.add(member.id);
    this.cluster.kill(member);
  }

  #start(id: string, address?: string): void {
    this.#down.delete(id);
    const options = { keyRing, meta: Buffer.from(id) };
    const member = this.cluster.start(
      id,
      address === undefined ? options : { ...options, address },
    );
    const others = this.cluster.live.filter((one) => one !== member);
    if (others.length === 0) return;
    member.gossip.join(others.map(({ host }) => host.address)).catch(() => {});
  }
}

/** Whether all see all, just as each sees itself. */
function converged(cluster: SimulatedCluster): boolean {
  const own = new Map(cluster.live.map(({ gossip }) => [gossip.self.id, gossip.self]));
  return cluster.live.every(({ gossip }) =>
    gossip.members().every((seen) => {
      const self = own.get(seen.id);
      return (
        self !== undefined &&
        seen.status === 'alive' &&
        seen.address === self.address &&
        seen.incarnation === self.incarnation &&
        Buffer.compare(seen.meta, self.meta) === 0
      );
    }),
  );
}

test('whatever happened, once it ends all see all as they are', () => {
  let longestMs = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const from = seeded(seed).fork(round).seed;
    const chaos = new Chaos(from);
    chaos.run();
    const { cluster } = chaos;
    try {
      const agreed = () => cluster.agrees(MEMBERS) && converged(cluster);
      longestMs = Math.max(longestMs, cluster.time.runUntil(agreed, 300_000));
    } catch (error) {
      for (const { gossip } of cluster.live) {
        const seen = gossip.members().map((m) => `${m.id}=${m.status}:${m.incarnation}`);
        console.log(`# ${gossip.self.id}: ${seen.join(' ')}`);
      }
      throw new Error(`round ${round}, from ${from}`, { cause: error });
    }
    for (const { gossip } of cluster.live) assert.ok(gossip.queuedBroadcasts <= MEMBERS);
    cluster.stop();
  }
  figure(`longest of ${ROUNDS} ways back from chaos`, longestMs, 'ms');
});
