import type { Cancel } from '../ports.ts';
import type { Claims } from './claims.ts';
import { type Core, Ticker } from './core.ts';
import { type MemberRecord, verdictOn } from './member-table.ts';
import type { Peer, Post } from './post.ts';
import { STALLS_EXCUSED_MAX } from './suspicion.ts';

/** Asks over a stream whether a member lives. */
export type StreamPing = (peer: Peer, timeoutMs: number, done: (alive: boolean) => void) => void;

interface Probe {
  readonly number: number;
  readonly target: MemberRecord;
  readonly incarnation: number;
  /** Who was asked to try as well. */
  readonly helpers: Set<string>;
  /** Those of them that told of their failure, and so proved that this member can be reached. */
  readonly nacked: Set<string>;
  /** Whether the stream failed before its time was over. */
  streamFailed: boolean;
  cancel: Cancel;
}

/**
 * One probe an interval (SWIM, §3.1): a ping, then, unanswered, a request to some others to try,
 * and a stream at the same time. Lifeguard's additions: all times are stretched while this member
 * is not healthy, the others tell a failure too, and a suspect learns of it from the ping itself.
 */
export class Prober {
  readonly #core: Core;
  readonly #claims: Claims;
  readonly #post: Post;
  readonly #streamPing: StreamPing;
  readonly #ticker: Ticker;
  #numbers = 0;
  #stallsInRow = 0;
  #isTurnOfAll = false;
  #current: Probe | undefined;

  constructor(core: Core, claims: Claims, post: Post, streamPing: StreamPing) {
    this.#core = core;
    this.#claims = claims;
    this.#post = post;
    this.#streamPing = streamPing;
    const intervalMs = () => core.awareness.scale(core.settings.probeIntervalMs);
    this.#ticker = new Ticker(core.timers, intervalMs, (lateMs) => this.#tick(lateMs));
  }

  start(): void {
    this.#ticker.start(this.#core.random);
  }

  stop(): void {
    this.#ticker.stop();
    this.#end();
  }

  /** A number for a ping, none twice. */
  nextNumber(): number {
    this.#numbers += 1;
    return this.#numbers;
  }

  /** Takes an answer; false when it is none of this member's own probe. */
  ack(number: number, from: string): boolean {
    const probe = this.#current;
    if (probe?.number !== number || !(probe.target.id === from || probe.helpers.has(from))) {
      return false;
    }
    this.#succeed();
    return true;
  }

  nack(number: number, from: string): boolean {
    const probe = this.#current;
    if (probe?.number !== number || !probe.helpers.has(from)) return false;
    probe.nacked.add(from);
    this.#core.metrics.nacksReceived += 1;
    this.#concludeEarly(probe);
    return true;
  }

  #tick(lateMs: number): void {
    const { metrics, settings, table, timers } = this.#core;
    this.#conclude(lateMs);
    metrics.reaped += table.reap(timers.now() - settings.deadKeptMs);
    const target = this.#next();
    if (target !== undefined) this.#probe(target);
  }

  /**
   * Whom to probe. Every other time it is the turn of all, which bounds how long anyone stays
   * unprobed. In between, a suspect that this member has not tried itself is: a dead one is soon
   * confirmed, one that lives soon hears of it. Else it is the successor: chance alone leaves one
   * member in a hundred unprobed for more than four intervals, and so each is probed by one other
   * in every second one.
   */
  #next(): MemberRecord | undefined {
    const { table } = this.#core;
    this.#isTurnOfAll = !this.#isTurnOfAll;
    if (this.#isTurnOfAll) return table.nextToProbe();
    const [suspect] = table.pick(1, ({ suspicion }) => suspicion?.asked === false);
    return suspect ?? table.successor() ?? table.nextToProbe();
  }

  #probe(target: MemberRecord): void {
    const { awareness, metrics, settings, timers } = this.#core;
    const number = this.nextNumber();
    metrics.probes += 1;
    if (target.suspicion !== undefined) target.suspicion.asked = true;
    const timeoutMs = awareness.scale(settings.probeTimeoutMs);
    const cancel = timers.after(timeoutMs, () => this.#askOthers());
    const { incarnation } = target;
    const [helpers, nacked] = [new Set<string>(), new Set<string>()];
    const fields = { number, target, incarnation, helpers, nacked, streamFailed: false };
    this.#current = { ...fields, cancel };
    this.#post.packet(target, [{ type: 'ping', probe: number }, ...verdictOn(target)]);
  }

  #askOthers(): void {
    const probe = this.#current;
    if (probe === undefined) return;
    const { awareness, metrics, settings, table } = this.#core;
    const { number, target } = probe;
    metrics.probesIndirect += 1;
    const helpers = table.pick(
      settings.indirectProbes,
      (record) => record.status === 'alive' && record !== target,
    );
    const { id, address } = target;
    for (const helper of helpers) {
      probe.helpers.add(helper.id);
      const request = { type: 'ping-req', probe: number, target: id, address, nack: true } as const;
      this.#post.packet(helper, [request]);
    }
    if (!settings.probeByStream) return;
    const leftMs = awareness.scale(settings.probeIntervalMs - settings.probeTimeoutMs);
    this.#streamPing(target, leftMs, (alive) => {
      if (this.#current !== probe) return;
      if (alive) {
        metrics.probesByStreamOnly += 1;
        this.#succeed();
      } else {
        probe.streamFailed = true;
        this.#concludeEarly(probe);
      }
    });
  }

  #succeed(): void {
    this.#core.awareness.apply(-1);
    this.#end();
  }

  /** Ends the probe that the next one finds unanswered. */
  #conclude(lateMs: number): void {
    const { awareness, metrics, settings } = this.#core;
    const probe = this.#current;
    const stalled = lateMs > settings.stallMs;
    this.#stallsInRow = stalled ? this.#stallsInRow + 1 : 0;
    if (stalled) {
      metrics.stalls += 1;
      awareness.apply(1);
    }
    if (probe === undefined) return;
    this.#end();
    // The answer may be among the packets that this process had no time to read.
    if (stalled && this.#stallsInRow <= STALLS_EXCUSED_MAX) return;
    this.#fail(probe);
  }

  /**
   * Does not wait for the end of the interval once all helpers told their failure and the stream
   * failed too, unless this member doubts itself: nobody is left who could answer.
   */
  #concludeEarly(probe: Probe): void {
    const { helpers, nacked, streamFailed } = probe;
    const allNacked = helpers.size > 0 && nacked.size === helpers.size;
    if (!allNacked || !streamFailed || this.#core.awareness.score > 0) return;
    this.#end();
    this.#fail(probe);
  }

  #fail(probe: Probe): void {
    const { awareness, metrics } = this.#core;
    metrics.probesFailed += 1;
    const missed = probe.helpers.size - probe.nacked.size;
    metrics.nacksMissed += missed;
    awareness.apply(probe.helpers.size > 0 ? missed : 1);
    this.#claims.accuse(probe.target.id, probe.incarnation);
  }

  #end(): void {
    this.#current?.cancel();
    this.#current = undefined;
  }
}
