import { MemplaneError } from '@memplane/contracts';
import { type Core, drop } from './core/core.ts';
import { isLive, memberOf } from './core/member-table.ts';
import { assemble, type Parts } from './core/parts.ts';
import type { Member } from './member.ts';
import type { GossipMetrics } from './metrics.ts';
import { checkedMeta, forgottenOf, type GossipOptions } from './options.ts';
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
  readonly #parts: Parts;
  readonly #forgotten: Set<string>;
  #leaveDone = () => {};
  #state: 'new' | 'running' | 'left' | 'stopped' = 'new';

  /** @throws MemplaneError `invalid_request`, with the option as its field. */
  constructor(options: GossipOptions) {
    const settings = gossipSettings(options.settings);
    this.#forgotten = forgottenOf(options, settings.forgottenMax);
    this.#parts = assemble(options, settings, this.#forgotten);
    this.#core = this.#parts.core;
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
      packet: (from, bytes) => this.#shielded(() => this.#parts.receiver.packet(from, bytes)),
      request: (_from, bytes) => this.#shielded(() => this.#parts.exchanges.answer(bytes)),
    });
    this.#parts.own.announce();
    this.#parts.prober.start();
    this.#parts.spreader.start();
    this.#parts.exchanges.start();
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
            this.#parts.exchanges.pushPull({ id: '', address }, true, resolve);
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
    this.#parts.prober.stop();
    const { settings, table, timers } = this.#core;
    await new Promise<void>((resolve) => {
      const cancel = timers.after(settings.leaveTimeoutMs, resolve);
      this.#leaveDone = () => {
        cancel();
        resolve();
      };
      this.#parts.own.leave(this.#leaveDone);
      if (table.pick(1, isLive).length === 0) this.#core.queue.remove(table.self.id);
    });
  }

  /** Ends all timers; what still comes in is ignored. The transport is the caller's to close. */
  stop(): void {
    this.#state = 'stopped';
    this.#parts.receiver.stop();
    this.#parts.prober.stop();
    this.#parts.spreader.stop();
    this.#parts.exchanges.stop();
    this.#leaveDone();
    for (const record of this.#core.table.values()) record.suspicion?.cancel();
  }

  /**
   * Gossips other opaque data about this member.
   * @throws MemplaneError `invalid_request` above 512 bytes.
   */
  setMeta(meta: Uint8Array): void {
    this.#mustRun();
    this.#parts.own.renew(checkedMeta(meta));
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
    if (!options.stream && this.#parts.post.fits(peer, payload)) {
      this.#parts.post.packet(peer, [{ type: 'user', payload }]);
      return;
    }
    await new Promise<void>((resolve, reject) => {
      this.#parts.exchanges.send(peer, payload, (error) => (error ? reject(error) : resolve()));
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
    this.#parts.windows.forget(id);
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
