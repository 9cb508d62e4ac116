import { type Seeded, seeded } from '@memplane/testkit';
import type { GossipEvent } from '../events.ts';
import { Gossip } from '../gossip.ts';
import type { MemberStatus } from '../member.ts';
import type { GossipOptions } from '../options.ts';
import type { GossipSettings } from '../settings.ts';
import { SimulatedHost } from './simulated-host.ts';
import { type NetworkConditions, SimulatedNetwork } from './simulated-network.ts';
import { VirtualTime } from './virtual-time.ts';

export interface SimulatedMember {
  readonly id: string;
  readonly gossip: Gossip;
  readonly host: SimulatedHost;
  /** Its events with the true time of each. */
  readonly events: { readonly atMs: number; readonly event: GossipEvent }[];
}

export interface ClusterOptions {
  readonly network?: Partial<NetworkConditions>;
  readonly settings?: Partial<GossipSettings>;
  /** How far clocks run apart, as a part of 1. */
  readonly driftMax?: number;
}

type MemberOptions = Partial<GossipOptions> & { readonly address?: string };

/** Members on a simulated network. All of a run follows from the seed. */
export class SimulatedCluster {
  readonly time = new VirtualTime();
  readonly network: SimulatedNetwork;
  readonly random: Seeded;
  readonly members = new Map<string, SimulatedMember>();
  readonly #options: ClusterOptions;
  #hosts = 0;

  constructor(seed: number, options: ClusterOptions = {}) {
    this.random = seeded(seed);
    this.network = new SimulatedNetwork(this.time, this.random.fork(1), options.network);
    this.#options = options;
  }

  get live(): SimulatedMember[] {
    return [...this.members.values()].filter((member) => member.host.up);
  }

  /** Starts a member on a host of its own; one of the same id takes the old one's place. */
  start(id: string, options: MemberOptions = {}): SimulatedMember {
    const { driftMax = 0, settings } = this.#options;
    this.#hosts += 1;
    const random = this.random.fork(100 + this.#hosts);
    const rate = 1 + driftMax * (2 * random.next() - 1);
    const address = options.address ?? `10.0.0.${this.#hosts}:7946`;
    const host = new SimulatedHost(this.network, address, rate);
    const events: SimulatedMember['events'] = [];
    const gossip = new Gossip({
      id,
      cluster: 'simulated',
      startEpoch: 1 + Math.trunc(this.time.nowMs),
      timers: host,
      transport: host,
      random: {
        next: random.next,
        bytes: (length) => Uint8Array.from({ length }, () => random.int(0, 255)),
      },
      ...options,
      settings: { ...settings, ...options.settings },
      hooks: {
        ...options.hooks,
        onEvent: (event) => {
          this.network.trace.add(this.time.nowMs, id, event.type, event.member.id);
          events.push({ atMs: this.time.nowMs, event });
          options.hooks?.onEvent?.(event);
        },
      },
    });
    gossip.start();
    const member = { id, gossip, host, events };
    this.members.set(id, member);
    return member;
  }

  /** Starts members m00, m01, …, each of which joins by the first, until all know all. */
  grow(count: number, limitMs = 60_000): SimulatedMember[] {
    const members = Array.from({ length: count }, (_, i) =>
      this.start(`m${String(i).padStart(2, '0')}`),
    );
    for (const member of members.slice(1)) this.join(member, members[0]);
    this.time.runUntil(() => this.agrees(count), limitMs);
    return members;
  }

  join(member: SimulatedMember, by: SimulatedMember | undefined): void {
    const failed = (error: unknown) => {
      if (member.host.up) throw error;
    };
    member.gossip.join(by === undefined ? [] : [by.host.address]).catch(failed);
  }

  kill(member: SimulatedMember): void {
    member.host.kill();
    member.gossip.stop();
  }

  /** Whether each live member counts `count` members as alive. */
  agrees(count: number): boolean {
    return this.live.every(({ gossip }) => {
      const alive = gossip.members().filter(({ status }) => status === 'alive');
      return alive.length === count;
    });
  }

  /** Whether each live member but itself sees a member so. */
  allSee(id: string, status: MemberStatus | undefined): boolean {
    return this.live.every((member) => member.id === id || statusOf(member.gossip, id) === status);
  }

  /** How often live members were declared dead by anyone. */
  falseDeaths(): number {
    const live = new Set(this.live.map(({ id }) => id));
    return this.count('failed', (id) => live.has(id));
  }

  count(type: GossipEvent['type'], about: (id: string) => boolean = () => true): number {
    let count = 0;
    for (const { events } of this.members.values()) {
      for (const { event } of events) if (event.type === type && about(event.member.id)) count += 1;
    }
    return count;
  }

  stop(): void {
    for (const member of this.members.values()) this.kill(member);
  }
}

export function statusOf(gossip: Gossip, id: string): MemberStatus | undefined {
  return gossip.members().find((member) => member.id === id)?.status;
}
