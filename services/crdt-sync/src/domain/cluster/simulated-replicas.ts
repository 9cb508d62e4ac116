import { SimulatedHost } from '@memplane/gossip/testing/simulated-host';
import { SimulatedNetwork } from '@memplane/gossip/testing/simulated-network';
import { VirtualTime } from '@memplane/gossip/testing/virtual-time';
import { type Seeded, seeded } from '@memplane/testkit';
import { Membership } from '../membership.ts';
import type { MembershipRecord } from '../membership-store.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';

/** A replica's membership where a test can see it. */
export class MemoryMembership {
  record: MembershipRecord | undefined;
  fails = false;
  loadMembership = async () => this.record;
  async saveMembership(record: MembershipRecord): Promise<void> {
    if (this.fails) throw new Error('full');
    this.record = record;
  }
}

export interface SimulatedReplica {
  readonly id: string;
  readonly host: SimulatedHost;
  readonly membership: Membership;
  readonly cluster: Cluster;
}

/** Replicas on a simulated network, at addresses of their own. All of a run follows from the seed. */
export class SimulatedReplicas {
  readonly time = new VirtualTime();
  readonly network: SimulatedNetwork;
  readonly random: Seeded;
  readonly stores = new Map<string, MemoryMembership>();
  readonly replicas = new Map<string, SimulatedReplica>();

  constructor(seed: number) {
    this.random = seeded(seed);
    this.network = new SimulatedNetwork(this.time, this.random.fork(1));
  }

  static addressOf(id: string): string {
    return `10.0.0.${id.charCodeAt(0)}:7946`;
  }

  /** Starts a replica, in place of one with its id, which then was started before. */
  async start(
    id: string,
    join: readonly string[],
    options: Partial<ClusterOptions> = {},
  ): Promise<SimulatedReplica> {
    this.replicas.get(id)?.cluster.stop();
    const random = this.random.fork(100 + this.replicas.size + Math.trunc(this.time.nowMs));
    const host = new SimulatedHost(this.network, SimulatedReplicas.addressOf(id));
    const store = this.stores.get(id) ?? new MemoryMembership();
    this.stores.set(id, store);
    const membership = await Membership.begin({
      store,
      before: store.record,
      now: () => Math.trunc(this.time.nowMs),
      forgottenMax: 16,
    });
    const cluster = new Cluster({
      self: id,
      name: 'simulated',
      membership,
      joinIntervalMs: 5_000,
      timers: host,
      transport: host,
      random: {
        next: random.next,
        bytes: (length) => Uint8Array.from({ length }, () => random.int(0, 255)),
      },
      resolve: async (name) => [name],
      ...options,
    });
    const replica = { id, host, membership, cluster };
    this.replicas.set(id, replica);
    cluster.start();
    cluster.join(join.map(SimulatedReplicas.addressOf));
    return replica;
  }

  /** Ends its process at once. */
  kill(id: string): void {
    const replica = this.get(id);
    replica.host.kill();
    replica.cluster.stop();
    this.replicas.delete(id);
  }

  get(id: string): SimulatedReplica {
    const replica = this.replicas.get(id);
    if (replica === undefined) throw new Error(`there is no replica ${id}`);
    return replica;
  }

  /** Cuts all that goes from some to others. */
  cut(from: readonly string[], to: readonly string[]): void {
    for (const a of from) {
      for (const b of to) {
        this.network.cut(SimulatedReplicas.addressOf(a), SimulatedReplicas.addressOf(b));
      }
    }
  }

  /** Cuts the groups off from each other, both ways. */
  split(...groups: readonly (readonly string[])[]): void {
    for (const one of groups) for (const other of groups) if (one !== other) this.cut(one, other);
  }

  /** Lets time pass, and what awaits it go on. */
  async run(ms: number, stepMs = 10): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.time.run(Math.min(stepMs, left));
      await new Promise(setImmediate);
    }
  }

  /** Until something holds; gives how long that took. */
  async until(holds: () => boolean, limitMs: number, stepMs = 10): Promise<number> {
    const startMs = this.time.nowMs;
    while (!holds()) {
      if (this.time.nowMs - startMs >= limitMs) throw new Error(`not within ${limitMs} ms`);
      await this.run(stepMs, stepMs);
    }
    return this.time.nowMs - startMs;
  }

  stop(): void {
    for (const id of [...this.replicas.keys()]) this.kill(id);
  }
}
