import { MemplaneError } from '@memplane/contracts';
import { Awareness } from './core/awareness.ts';
import { BroadcastQueue } from './core/broadcast-queue.ts';
import { Claims } from './core/claims.ts';
import { type Core, drop } from './core/core.ts';
import { Exchanges } from './core/exchanges.ts';
import { Inbox } from './core/inbox.ts';
import { isLive, MemberTable, memberOf } from './core/member-table.ts';
import { OwnRecord } from './core/own-record.ts';
import { Post } from './core/post.ts';
import { Prober } from './core/prober.ts';
import { Receiver } from './core/receiver.ts';
import { Spreader } from './core/spreader.ts';
import type { Member } from './member.ts';
import { type GossipMetrics, newMetrics } from './metrics.ts';
import { checkedMeta, forgottenOf, type GossipOptions, selfOf } from './options.ts';
import { ReplayWindows } from './security/replay-windows.ts';
import { Sealer } from './security/sealer.ts';
import { gossipSettings } from './settings.ts';

export interface SendOptions {
  /** Over a stream although it would fit into a datagram. */
  readonly stream?: boolean;
  /** To one that is held for dead too: it may be this member alone that does not hear it. */
  readonly evenIfDead?: boolean;
}

/**
 * One member of a cluster: SWIM with Lifeguard's extensions as a state machine that does nothing
 * of its own accord. Time, randomness and the network are passed in, so that one seed repeats a
 * run to the byte, and nothing here awaits anything but the outcome of calls.
 *
 * It keeps a list of who lives, spreads what the application offers, and decides nothing by
 * majority: in a cut each side goes on with those it reaches.
 */
export class Gossip {
  readonly #core: Core;
  readonly #own: OwnRecord;
  readonly #post: Post;
  readonly #prober: Prober;
  readonly #receiver: Receiver;
  readonly #spreader: Spreader;
  readonly #exchanges: Exchanges;
  readonly #windows: ReplayWindows;
  readonly #forgotten: Set<string>;
  #leaveDone = () => {};
  #state: 'new' | 'running' | 'left' | 'stopped' = 'new';

  /** @throws MemplaneError `invalid_request`, with the option as its field. */
  constructor(options: GossipOptions) {
    const settings = gossipSettings(options.settings);
    const { random, timers, transport, hooks = {}, isForgotten = () => false } = options;
    this.#forgotten = forgottenOf(options, settings.forgottenMax);
    const metrics = newMetrics();
    const core: Core = {
      settings,
      timers,
      random,
      transport,
      hooks,
      metrics,
      table: new MemberTable(selfOf(options), random),
      queue: new BroadcastQueue(settings.queueBroadcastsMax, () => drop({ metrics }, 'queue_full')),
      awareness: new Awareness(settings.awarenessMax),
      hasten: () => this.#spreader.hasten(),
      isForgotten: (id) => this.#forgotten.has(id) || isForgotten(id),
    };
    this.#core = core;
    const sealer = new Sealer(options.cluster, options.keyRing, random);
    this.#windows = new ReplayWindows(settings.replayWindowPackets, settings.replaySendersMax);
    this.#post = new Post(core, sealer, options.startEpoch);
    const inbox = new Inbox(core, sealer, this.#windows);
    this.#own = new OwnRecord(core);
    const claims = new Claims(core, this.#own);
    const parts = { claims, post: this.#post, inbox };
    this.#exchanges = new Exchanges(core, parts);
    this.#prober = new Prober(core, claims, this.#post, (peer, timeoutMs, done) =>
      this.#exchanges.ping(peer, timeoutMs, done),
    );
    this.#receiver = new Receiver(core, { ...parts, prober: this.#prober });
    this.#spreader = new Spreader(core, this.#post);
  }

  /** This member as the others are told of it. */
  get self(): Member {
    return memberOf(this.#core.table.self);
  }

  /** All known members, this one and the recently dead included, in the order of their ids. */
  members(): Member[] {
    const members = Array.from(this.#core.table.values(), memberOf);
    return members.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** How unwell this member believes to be: 0 is healthy, `awarenessMax` the worst. */
  get healthScore(): number {
    return this.#core.awareness.score;
  }

  /** The version of the protocol that is spoken now. */
  get protocolVersion(): number {
    return this.#core.table.commonVersion();
  }

  /** News about members that wait to be sent. */
  get queuedBroadcasts(): number {
    return this.#core.queue.size;
  }

  /** Live counters; read them, don't write them. */
  get metrics(): Readonly<GossipMetrics> {
    return this.#core.metrics;
  }

  /** Listens and starts to probe. */
  start(): void {
    if (this.#state !== 'new') throw wrongState('It was started before');
    this.#state = 'running';
    this.#core.transport.listen({
      packet: (from, bytes) => this.#shielded(() => this.#receiver.packet(from, bytes)),
      request: (_from, bytes) => this.#shielded(() => this.#exchanges.answer(bytes)),
    });
    this.#own.announce();
    this.#prober.start();
    this.#spreader.start();
    this.#exchanges.start();
  }

  /**
   * Exchanges states with members at these addresses, own ones excepted, and so enters their
   * cluster. Gives how many of them answered.
   * @throws MemplaneError `dependency_unavailable` when none did, with the first failure as cause.
   */
  async join(addresses: readonly string[]): Promise<number> {
    this.#mustRun();
    const others = addresses.filter((address) => address !== this.#core.transport.address);
    const errors = await Promise.all(
      others.map(
        (address) =>
          new Promise<MemplaneError | undefined>((resolve) => {
            this.#exchanges.pushPull({ id: '', address }, true, resolve);
          }),
      ),
    );
    const reached = errors.filter((error) => error === undefined).length;
    if (others.length > 0 && reached === 0) {
      const cause = errors[0];
      throw new MemplaneError('dependency_unavailable', 'No member could be joined', { cause });
    }
    return reached;
  }

  /**
   * Tells the others that this member goes, and resolves when they were told often enough, at the
   * latest after `leaveTimeoutMs`. It still answers until it is stopped.
   */
  async leave(): Promise<void> {
    this.#mustRun();
    this.#state = 'left';
    this.#prober.stop();
    const { settings, table, timers } = this.#core;
    await new Promise<void>((resolve) => {
      const cancel = timers.after(settings.leaveTimeoutMs, resolve);
      this.#leaveDone = () => {
        cancel();
        resolve();
      };
      this.#own.leave(this.#leaveDone);
      if (table.pick(1, isLive).length === 0) this.#core.queue.remove(table.self.id);
    });
  }

  /** Ends all timers; what still comes in is ignored. The transport is the caller's to close. */
  stop(): void {
    this.#state = 'stopped';
    this.#receiver.stop();
    this.#prober.stop();
    this.#spreader.stop();
    this.#exchanges.stop();
    this.#leaveDone();
    for (const record of this.#core.table.values()) record.suspicion?.cancel();
  }

  /**
   * Gossips other opaque data about this member.
   * @throws MemplaneError `invalid_request` above 512 bytes.
   */
  setMeta(meta: Uint8Array): void {
    this.#mustRun();
    this.#own.renew(checkedMeta(meta));
  }

  /**
   * Sends a payload to one member: in a datagram, which may get lost, or, when it is too large for
   * one or `stream` is wished, over a stream, which resolves once the other has it.
   * @throws MemplaneError `not_found` for a member that is unknown or not alive, `body_too_large`,
   * and what a stream fails with.
   */
  async send(id: string, payload: Uint8Array, options: SendOptions = {}): Promise<void> {
    this.#mustRun();
    const peer = this.#core.table.get(id);
    const isReached = peer && (isLive(peer) || (options.evenIfDead && peer.status === 'dead'));
    if (!isReached || peer === this.#core.table.self) {
      throw new MemplaneError('not_found', `There is no other live member ${id}`);
    }
    if (payload.length + 1_024 > this.#core.settings.streamBytesMax) {
      throw new MemplaneError('body_too_large', 'The payload is too large for a stream');
    }
    if (!options.stream && this.#post.fits(peer, payload)) {
      this.#post.packet(peer, [{ type: 'user', payload }]);
      return;
    }
    await new Promise<void>((resolve, reject) => {
      this.#exchanges.send(peer, payload, (error) => (error ? reject(error) : resolve()));
    });
  }

  /**
   * Forgets a member for good: it is no longer known, and refused ever after. This holds here
   * alone and until the process ends: the caller keeps the list and passes it in again.
   * @throws MemplaneError `invalid_request` for this member's own id, `overloaded` when
   * `forgottenMax` ids are forgotten.
   */
  forget(id: string): void {
    const { queue, settings, table } = this.#core;
    if (id === table.self.id) {
      throw new MemplaneError('invalid_request', 'A member can not forget itself', { field: 'id' });
    }
    if (!this.#forgotten.has(id) && this.#forgotten.size >= settings.forgottenMax) {
      throw new MemplaneError('overloaded', `${settings.forgottenMax} members are forgotten`);
    }
    this.#forgotten.add(id);
    table.remove(id);
    queue.remove(id);
    this.#windows.forget(id);
  }

  /** What others send must not be able to end the process, even where this code has a fault. */
  #shielded<T>(receive: () => T): T | undefined {
    try {
      return receive();
    } catch {
      drop(this.#core, 'internal');
      return undefined;
    }
  }

  #mustRun(): void {
    if (this.#state !== 'running') throw wrongState('It does not run');
  }
}

function wrongState(detail: string): MemplaneError {
  return new MemplaneError('shutting_down', `This member can not do that: ${detail}`);
}
