import { MemplaneError } from '@memplane/contracts';
import {
  Gossip,
  type GossipEvent,
  type GossipMetrics,
  type GossipSettings,
  type KeyRing,
  type Member,
  type Random,
  type SendOptions,
  type Timers,
  type Transport,
} from '@memplane/gossip';
import type { Membership } from '../membership.ts';
import { type CallHandler, Calls } from './calls.ts';
import { type Channel, channelOf, onChannel } from './channels.ts';
import { decodeIds, encodeIds } from './id-list.ts';
import { Joining } from './joining.ts';

export type MessageHandler = (from: string, bytes: Uint8Array) => void;

export interface ClusterOptions {
  readonly self: string;
  /** The cluster's name. */
  readonly name: string;
  readonly keyRing?: KeyRing | undefined;
  /** What is kept over restarts: the start epoch and who is forgotten. */
  readonly membership: Membership;
  readonly joinIntervalMs: number;
  readonly pendingCallsMax?: number;
  readonly servedCallsMax?: number;
  readonly timers: Timers;
  readonly random: Random;
  readonly transport: Transport;
  /** All addresses of a host. */
  readonly resolve: (host: string) => Promise<readonly string[]>;
  readonly settings?: Partial<GossipSettings>;
  readonly onEvent?: (event: GossipEvent) => void;
  /** This replica was forgotten: all others refuse it for good. */
  readonly onSelfForgotten?: () => void;
}

/** Plain numbers since the start. */
export interface ClusterStats {
  sent: number;
  sendsFailed: number;
  received: number;
  /** On a channel that nobody listens on here. */
  unknownChannel: number;
}

const PENDING_CALLS_MAX = 1_024;
const SERVED_CALLS_MAX = 256;
/** With HTTP's own draining it has to end before the process is ended. */
const LEAVE_TIMEOUT_MS = 2_000;

/** The other replicas, as the rest of the service sees them: who there is, and messages to them. */
export class Cluster {
  readonly self: string;
  readonly stats: ClusterStats = { sent: 0, sendsFailed: 0, received: 0, unknownChannel: 0 };
  readonly #options: ClusterOptions;
  readonly #gossip: Gossip;
  readonly #calls: Calls;
  readonly #joining: Joining;
  readonly #handlers = new Map<Channel, MessageHandler>();
  #changes = 1;

  /** @throws MemplaneError `invalid_request` for what gossip can not be run with */
  constructor(options: ClusterOptions) {
    const { joinIntervalMs, membership, random, resolve, timers, transport } = options;
    this.#options = options;
    this.self = options.self;
    this.#gossip = this.#newGossip();
    this.#calls = new Calls({
      timers,
      random,
      pendingCallsMax: options.pendingCallsMax ?? PENDING_CALLS_MAX,
      servedCallsMax: options.servedCallsMax ?? SERVED_CALLS_MAX,
      post: (to, channel, bytes) => this.#post(to, channel, bytes),
    });
    this.#joining = new Joining({
      timers,
      intervalMs: joinIntervalMs,
      ownAddress: transport.address,
      resolve,
      join: (address) => this.#gossip.join([address]),
      known: () => this.#gossip.members().map(({ address }) => address),
      isAlone: () => this.live().length === 0,
    });
    this.on('call', (from, bytes) => this.#calls.asked(from, bytes));
    this.on('answer', (from, bytes) => this.#calls.answered(from, bytes));
    this.on('forgotten', (_from, bytes) => membership.merge(decodeIds(bytes)));
    membership.onForgotten = (ids) => this.#forgotten(ids);
  }

  get address(): string {
    return this.#options.transport.address;
  }

  /** Higher at each start of this replica. */
  get startEpoch(): number {
    return this.#options.membership.startEpoch;
  }

  /** Raised whenever this replica sees the membership change: who there is, and how they are. */
  get viewVersion(): number {
    return this.#changes + this.#gossip.metrics.reaped;
  }

  /** Gossip's own counters; read them, don't write them. */
  get metrics(): Readonly<GossipMetrics> {
    return this.#gossip.metrics;
  }

  /** The ids of the other members that live as far as is known, the suspects among them. */
  live(): string[] {
    return this.#gossip.members().flatMap(({ id, status }) => {
      const isLive = status === 'alive' || status === 'suspect';
      return isLive && id !== this.self ? [id] : [];
    });
  }

  /** All that are known, this one and the recently dead and gone included, in order of their ids. */
  members(): Member[] {
    return this.#gossip.members();
  }

  /**
   * Sends to a live member, over a stream where it is too large for a datagram or `stream` says so.
   * It may get lost on the way, and nothing is thrown; what is known not to have left is counted.
   */
  send(to: string, channel: Channel, bytes: Uint8Array, options: SendOptions = {}): void {
    this.#post(to, channel, bytes, options).catch(() => {});
  }

  /** @throws RangeError when somebody listens on the channel already */
  on(channel: Channel, handler: MessageHandler): void {
    if (this.#handlers.has(channel)) throw new RangeError(`channel ${channel} has a handler`);
    this.#handlers.set(channel, handler);
  }

  /**
   * Asks one member, once. It may be answered although the answer, or its time, is lost.
   * @throws MemplaneError `dependency_unavailable` where no answer came within `timeoutMs`,
   * `overloaded` where too many calls wait already, and the error that the other answered with
   */
  call(to: string, method: number, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return this.#calls.call(to, method, bytes, timeoutMs);
  }

  /** @throws RangeError for a method that has a handler already, or is no byte */
  onCall(method: number, handler: CallHandler): void {
    this.#calls.onCall(method, handler);
  }

  /** Listens, and begins to probe those it will know. */
  start(): void {
    this.#gossip.start();
  }

  /** Looks for others at these addresses from now on, until it leaves. */
  join(addresses: readonly string[]): void {
    this.#joining.start(addresses);
  }

  /** Takes leave, so that nobody misses this replica. */
  async leave(): Promise<void> {
    this.#joining.stop();
    await this.#gossip.leave();
  }

  /** Ends all timers and all calls that wait. The transport is the caller's to close. */
  stop(): void {
    this.#joining.stop();
    this.#gossip.stop();
    this.#calls.stop();
  }

  /**
   * Forgets a replica for good, here and, as they hear of it, at all others. Kept when it resolves.
   * @throws MemplaneError `invalid_request` for this replica's own id, what keeping it throws
   */
  async forget(id: string): Promise<void> {
    if (id === this.self) {
      throw new MemplaneError('invalid_request', 'A replica can not forget itself.', {
        field: 'path.replica',
      });
    }
    await this.#options.membership.forget(id);
  }

  #newGossip(): Gossip {
    const { joinIntervalMs, membership, name, random, self, settings, timers, transport } =
      this.#options;
    const { keyRing } = this.#options;
    return new Gossip({
      id: self,
      cluster: name,
      startEpoch: membership.startEpoch,
      ...(keyRing === undefined ? {} : { keyRing }),
      isForgotten: (id) => id !== self && membership.isForgotten(id),
      // A cut that has ended is noticed about as soon as a new replica would be.
      settings: {
        reconnectIntervalMs: joinIntervalMs,
        leaveTimeoutMs: LEAVE_TIMEOUT_MS,
        ...settings,
      },
      timers,
      random,
      transport,
      hooks: {
        onEvent: (event) => this.#noticed(event),
        onMessage: (payload, from) => this.#received(payload, from),
        onForgotten: () => membership.merge([self]),
        localState: () => encodeIds(membership.forgotten),
        mergeState: (state) => membership.merge(decodeIds(state)),
      },
    });
  }

  /** They are told first: the one that is forgotten hears nothing from here any more. */
  #forgotten(ids: readonly string[]): void {
    for (const to of this.live()) this.send(to, 'forgotten', encodeIds(ids), { stream: true });
    for (const id of ids) if (id !== this.self) this.#gossip.forget(id);
    this.#changes++;
    if (ids.includes(this.self)) this.#options.onSelfForgotten?.();
  }

  #noticed(event: GossipEvent): void {
    if (event.type !== 'updated') this.#changes++;
    this.#options.onEvent?.(event);
  }

  #received(payload: Uint8Array, from: string): void {
    const channel = channelOf(payload[0]);
    const handler = channel && this.#handlers.get(channel);
    if (handler === undefined) {
      this.stats.unknownChannel++;
      return;
    }
    this.stats.received++;
    handler(from, payload.subarray(1));
  }

  async #post(
    to: string,
    channel: Channel,
    bytes: Uint8Array,
    options: SendOptions = {},
  ): Promise<void> {
    try {
      await this.#gossip.send(to, onChannel(channel, bytes), options);
      this.stats.sent++;
    } catch (error) {
      this.stats.sendsFailed++;
      throw error;
    }
  }
}
