import { lookup } from 'node:dns/promises';
import { isIPv6 } from 'node:net';
import {
  type GossipEvent,
  KeyRing,
  LAN_SETTINGS,
  systemRandom,
  systemTimers,
  UdpTcpTransport,
} from '@memplane/gossip';
import { type Logger, toMemplaneError } from '@memplane/runtime';
import type { GossipConfig } from './cluster-config.ts';
import type { CrdtSyncConfig } from './config.ts';
import type { Alerts } from './domain/alerts.ts';
import { Cluster } from './domain/cluster/cluster.ts';
import { Members } from './domain/cluster/members.ts';
import { Heartbeats } from './domain/heartbeats/heartbeats.ts';
import { PARTITION } from './domain/heartbeats/partition-alert.ts';
import { Membership } from './domain/membership.ts';
import type { MembershipRecord, MembershipStore } from './domain/membership-store.ts';
import type { ReplicaSets } from './domain/replica-set/replica-sets.ts';
import type { Left } from './leaving.ts';

export interface ClusterPartsContext {
  readonly store: MembershipStore;
  readonly alerts: Alerts;
  readonly sets: ReplicaSets;
  readonly logger: Logger;
  readonly now: () => number;
  /** Under which this replica gives out dots now. */
  readonly incarnation: () => string;
  readonly left?: Left | undefined;
  readonly onForgotten?: (() => void) | undefined;
}

const FORGOTTEN = 'replica_forgotten';

/** A replica among others: its gossip on the network, its heartbeats, and what is kept of both. */
export class ClusterParts {
  readonly cluster: Cluster;
  readonly members: Members;
  /** Told of each member that can be reached from now on. */
  onReached: (id: string) => void = () => {};
  readonly #heartbeats: Heartbeats;
  readonly #membership: Membership;
  readonly #transport: UdpTcpTransport;
  readonly #context: ClusterPartsContext;
  readonly #config: CrdtSyncConfig;
  #saving: NodeJS.Timeout | undefined;
  #isStarted = false;
  #isFailureTold = false;

  /**
   * Takes the port, and says nothing yet. Undefined where this replica is alone.
   * @throws MemplaneError `dependency_unavailable` where the port is taken, and what the store throws
   */
  static async open(
    config: CrdtSyncConfig,
    context: ClusterPartsContext,
  ): Promise<ClusterParts | undefined> {
    const { gossip } = config;
    const { alerts } = context;
    if (gossip === undefined) {
      clearStanding(alerts, PARTITION);
      return undefined;
    }
    const { now, store } = context;
    const membership = await Membership.begin({
      store,
      now,
      before: await loadMembership(context),
      forgottenMax: LAN_SETTINGS.forgottenMax,
    });
    const { advertise, host, port } = gossip;
    const transport = await UdpTcpTransport.bind({
      host,
      port,
      ...(advertise ? { advertiseHost: advertise.host, advertisePort: advertise.port } : {}),
    });
    const [before] = standing(alerts, PARTITION);
    clearStanding(alerts, PARTITION, before);
    return new ClusterParts(config, gossip, context, { membership, transport, before });
  }

  private constructor(
    config: CrdtSyncConfig,
    gossip: GossipConfig,
    context: ClusterPartsContext,
    parts: { membership: Membership; transport: UdpTcpTransport; before: string | undefined },
  ) {
    const { before, membership, transport } = parts;
    const { alerts, incarnation, sets } = context;
    this.#config = config;
    this.#context = context;
    this.#membership = membership;
    this.#transport = transport;
    const shared = { membership, timers: systemTimers };
    this.cluster = new Cluster({
      ...shared,
      self: config.replicaId,
      name: config.clusterName,
      keyRing: gossip.keys.length === 0 ? undefined : new KeyRing(gossip.keys),
      joinIntervalMs: config.gossipJoinIntervalMs,
      random: systemRandom,
      transport,
      resolve: resolverFor(gossip.host),
      // Those to replicas that are cut off hang so long, and would leave none for the others.
      settings: { streamTimeoutMs: config.replicaCallTimeoutMs },
      onEvent: (event) => this.#tell(event),
      onSelfForgotten: () => this.#tellForgotten(),
    });
    const { cluster } = this;
    this.#heartbeats = new Heartbeats({
      ...shared,
      cluster,
      alerts,
      before,
      incarnation,
      isForgotten: (id) => membership.isForgotten(id),
      startEpoch: membership.startEpoch,
      intervalMs: config.heartbeatIntervalMs,
      missedMax: config.heartbeats_missed_max,
    });
    const heartbeats = this.#heartbeats;
    this.members = new Members({ cluster, heartbeats, membership, sets, incarnation });
  }

  /** Higher at each start of this replica. */
  get startEpoch(): number {
    return this.#membership.startEpoch;
  }

  /** The other replicas that are there, or may come back as they were. */
  expected(): string[] {
    const { cluster } = this;
    const known = cluster.members().filter(({ status }) => status !== 'left');
    const ids = new Set([...known.map(({ id }) => id), ...this.#context.sets.shown.replicas]);
    return [...ids].filter((id) => id !== cluster.self && !this.#membership.isForgotten(id));
  }

  get isForgotten(): boolean {
    return this.#membership.isForgotten(this.cluster.self);
  }

  /** Those that are cut off from here, while an alert says so. */
  get cutOff(): readonly string[] {
    return this.#heartbeats.cutOff;
  }

  start(): void {
    const { cluster } = this;
    this.#isStarted = true;
    cluster.start();
    clearStanding(this.#context.alerts, FORGOTTEN, cluster.self);
    if (this.isForgotten) this.#tellForgotten();
    else this.#heartbeats.start();
    if (this.#context.left) this.#tellLeft(this.#context.left);
    cluster.join(this.#config.gossip?.join ?? []);
    this.#saving = setInterval(() => void this.#save(), this.#config.storageProbeIntervalMs);
    const { logger } = this.#context;
    logger.info({ replica: cluster.self, address: cluster.address }, 'looking for other replicas');
  }

  /** Tells the others that this replica goes. */
  async drain(): Promise<void> {
    if (!this.#isStarted) return;
    this.#heartbeats.leave();
    await this.cluster.leave();
  }

  async stop(): Promise<void> {
    clearInterval(this.#saving);
    this.#heartbeats.stop();
    this.cluster.stop();
    await this.#transport.close();
    await this.#save();
  }

  /** What `/readyz` says of it. */
  describe(): Readonly<Record<string, unknown>> {
    const members = this.cluster.members().map(({ id, status }) => [id, status]);
    return {
      members: Object.fromEntries(members),
      partition: this.cutOff.length === 0 ? null : this.cutOff,
      forgotten: this.isForgotten,
    };
  }

  /** What the others said, which they say again: nothing is lost where it can not be kept now. */
  async #save(): Promise<void> {
    try {
      await this.#membership.save();
      this.#isFailureTold = false;
    } catch (error) {
      if (this.#isFailureTold) return;
      this.#isFailureTold = true;
      this.#context.logger.warn({ error }, 'the membership is not saved');
    }
  }

  #tell(event: GossipEvent): void {
    const { id, address, status } = event.member;
    const what = { replica: id, address, state: status, event: event.type };
    this.#context.logger.info(what, 'the membership has changed');
    if (event.type === 'joined' || event.type === 'alive-again') this.onReached(id);
  }

  #tellLeft({ file, replica }: Left): void {
    this.#context.alerts.raise(
      FORGOTTEN,
      `Replica ${replica} was forgotten by an operator. All that it held is in ${file}, and in no ` +
        `replica unless the others had it too; it takes part again as ${this.cluster.self}.`,
      replica,
    );
  }

  #tellForgotten(): void {
    const { self } = this.cluster;
    this.#heartbeats.end();
    this.#context.alerts.raise(
      FORGOTTEN,
      `Replica ${self} was forgotten by an operator: the others refuse it for good, and what only ` +
        'it holds reaches nobody. End it. To take part again, start it with an empty folder and ' +
        'another MEMPLANE_REPLICA_ID.',
      self,
    );
    this.#context.onForgotten?.();
  }
}

/** The subjects of alerts that stand since before this start, the newest first. */
function standing(alerts: Alerts, wanted: string): string[] {
  return alerts
    .list()
    .filter(({ code, clearedAt }) => code === wanted && clearedAt === undefined)
    .map(({ subject }) => subject ?? '');
}

/** What was about another cluster, or another id, is over. */
function clearStanding(alerts: Alerts, code: string, except?: string): void {
  for (const subject of standing(alerts, code)) {
    if (subject !== except) alerts.clear(code, subject);
  }
}

/** Damage is itself an alert, and no reason not to start: the others know who is forgotten. */
async function loadMembership(context: ClusterPartsContext): Promise<MembershipRecord | undefined> {
  try {
    return await context.store.loadMembership();
  } catch (cause) {
    const error = toMemplaneError(cause);
    if (error.code !== 'storage_damaged') throw error;
    context.alerts.raise(error.code, error.message, 'membership');
    return undefined;
  }
}

/** All addresses of a name that a socket bound to `host` can send to. */
function resolverFor(host: string): (name: string) => Promise<string[]> {
  const family = isIPv6(host) ? 6 : 4;
  return async (name) => {
    const found = await lookup(name, { all: true, family });
    return found.map(({ address }) => address);
  };
}
