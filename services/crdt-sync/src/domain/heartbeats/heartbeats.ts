import type { Cancel, Timers } from '@memplane/gossip';
import type { Alerts } from '../alerts.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { describeCut } from './cut.ts';
import { Hearing } from './hearing.ts';
import { decodeHeartbeat, encodeHeartbeat, type Heartbeat } from './heartbeat.ts';
import { PartitionAlert } from './partition-alert.ts';

export interface HeartbeatsOptions {
  readonly cluster: Pick<Cluster, 'self' | 'live' | 'members' | 'viewVersion' | 'send' | 'on'>;
  readonly isForgotten: (id: string) => boolean;
  readonly timers: Timers;
  /** Higher at each start of this replica. */
  readonly startEpoch: number;
  readonly intervalMs: number;
  readonly missedMax: number;
  /** Under which this replica gives out dots now. */
  readonly incarnation: () => string;
  readonly alerts: Pick<Alerts, 'raise' | 'clear'>;
  /** The subject of a partition alert that stands since before this start. */
  readonly before?: string | undefined;
}

/** What is known of another replica by its heartbeats. */
export interface Heard {
  readonly incarnation: string;
  readonly viewVersion: number;
  /** Since its last heartbeat. */
  readonly heardMs: number;
}

/** A process that stands still again and again accuses nevertheless, at some time. */
const STALLS_EXCUSED_MAX = 5;
/** What surely fits into a datagram of gossip, beside its header. */
const DATAGRAM_BYTES_MAX = 900;

/**
 * Tells the other replicas of this one at each interval, and raises an alert when they are not
 * heard. Gossip asks whether somebody reaches a member; this is about which of them reach which.
 */
export class Heartbeats {
  readonly #options: HeartbeatsOptions;
  readonly #hearing: Hearing;
  readonly #alert: PartitionAlert;
  /** Between two looks: short, so that the sum of all waits stays below a second. */
  readonly #lookMs: number;
  #sequence = 0;
  #sentAtMs = 0;
  #sentAbout = '';
  /** Until then, that others miss this replica may be about the time before. */
  #toldFromMs = 0;
  #stallsInRow = 0;
  #cancel: Cancel | undefined;
  #isRunning = false;

  constructor(options: HeartbeatsOptions) {
    this.#options = options;
    const { alerts, before, cluster, intervalMs, missedMax } = options;
    const graceMs = Math.min(250, intervalMs / 2);
    const gatherMs = Math.min(200, intervalMs / 2);
    this.#lookMs = Math.min(100, intervalMs / 10);
    this.#hearing = new Hearing({ intervalMs, missedMax, graceMs });
    // One whose last heartbeat before a cut got lost is missed an interval before the others are.
    const gatherMsMax = 2 * intervalMs + graceMs + gatherMs;
    const holdMs = missedMax * intervalMs;
    this.#alert = new PartitionAlert({ alerts, before, gatherMs, gatherMsMax, holdMs });
    for (const id of this.#alert.ids) this.#hearing.expect(id, Number.NEGATIVE_INFINITY);
    cluster.on('heartbeat', (from, bytes) => this.#received(from, decodeHeartbeat(bytes)));
  }

  /** Those that are not heard, or do not hear this replica, while an alert about them stands. */
  get cutOff(): readonly string[] {
    return this.#alert.ids;
  }

  /** Undefined for one that was never heard. */
  of(id: string): Heard | undefined {
    const last = this.#hearing.lastOf(id);
    const heardMs = this.#hearing.heardMsAgo(id, this.#options.timers.now());
    if (last === undefined || heardMs === undefined) return undefined;
    return { incarnation: last.incarnation, viewVersion: last.viewVersion, heardMs };
  }

  /** Whether it should be heard, even where it is no member any more. */
  expects(id: string): boolean {
    return this.#hearing.ids.includes(id);
  }

  start(): void {
    const { intervalMs, missedMax, timers } = this.#options;
    this.#isRunning = true;
    this.#toldFromMs = timers.now() + missedMax * intervalMs;
    this.#look(0);
  }

  /** Says goodbye to all that live: gossip may take longer until the last of them knows. */
  leave(): void {
    if (!this.#isRunning) return;
    this.stop();
    const goodbye = this.#heartbeat(this.#options.timers.now(), true);
    this.#send(goodbye, false);
    this.#send(goodbye, true);
  }

  stop(): void {
    this.#isRunning = false;
    this.#cancel?.();
  }

  /** This replica itself was forgotten: it is not the others that are gone. */
  end(): void {
    this.stop();
    this.#alert.end();
  }

  #look(lateMs: number): void {
    const nowMs = this.#options.timers.now();
    this.#excuse(lateMs, nowMs);
    this.#followMembers(nowMs);
    this.#beat(nowMs);
    this.#judge(nowMs);
    if (this.#isRunning) this.#arm(nowMs);
  }

  #arm(nowMs: number): void {
    const { timers } = this.#options;
    const dueMs = nowMs + this.#lookMs;
    this.#cancel = timers.after(this.#lookMs, () => this.#look(timers.now() - dueMs));
  }

  /** When this process stood still, what the others sent meanwhile was not read yet. */
  #excuse(lateMs: number, nowMs: number): void {
    const { intervalMs, missedMax } = this.#options;
    const isStalled = lateMs > intervalMs / 2;
    this.#stallsInRow = isStalled ? this.#stallsInRow + 1 : 0;
    if (!isStalled || this.#stallsInRow > STALLS_EXCUSED_MAX) return;
    this.#hearing.waitAfresh(nowMs - lateMs, nowMs);
    this.#toldFromMs = nowMs + missedMax * intervalMs;
  }

  #followMembers(nowMs: number): void {
    const { cluster, isForgotten } = this.#options;
    for (const { id, status } of cluster.members()) {
      if (id === cluster.self) continue;
      if (status === 'left') this.#hearing.remove(id);
      else this.#hearing.expect(id, nowMs);
    }
    for (const id of this.#hearing.ids) if (isForgotten(id)) this.#hearing.remove(id);
  }

  /** At each interval, and at once when it has something new to say of whom it hears. */
  #beat(nowMs: number): void {
    const heartbeat = this.#heartbeat(nowMs, false);
    const about = [this.#options.cluster.live(), heartbeat.hears, heartbeat.misses].join('|');
    if (nowMs - this.#sentAtMs < this.#options.intervalMs && about === this.#sentAbout) return;
    this.#sentAtMs = nowMs;
    this.#sentAbout = about;
    this.#send(heartbeat, false);
  }

  #heartbeat(nowMs: number, leaving: boolean): Heartbeat {
    const { cluster, incarnation, startEpoch } = this.#options;
    return {
      epoch: startEpoch,
      sequence: this.#sequence,
      viewVersion: cluster.viewVersion,
      incarnation: incarnation(),
      hears: this.#hearing.hears(nowMs),
      misses: this.#hearing.missing(nowMs),
      leaving,
    };
  }

  /** To those that gossip holds for dead too: they may well hear, and have to know that we do not. */
  #send(heartbeat: Heartbeat, stream: boolean): void {
    const { cluster } = this.#options;
    this.#sequence++;
    const bytes = encodeHeartbeat(heartbeat);
    // Streams to the dead would hang, and leave none for the living.
    const evenIfDead = !stream && bytes.length <= DATAGRAM_BYTES_MAX;
    for (const { id, status } of cluster.members()) {
      if (id === cluster.self || status === 'left' || (status === 'dead' && !evenIfDead)) continue;
      cluster.send(id, 'heartbeat', bytes, { stream, evenIfDead });
    }
  }

  #received(from: string, heartbeat: Heartbeat): void {
    const nowMs = this.#options.timers.now();
    if (!this.#hearing.heard(from, heartbeat, nowMs) || !this.#isRunning) return;
    this.#judge(nowMs);
  }

  #judge(nowMs: number): void {
    const { self } = this.#options.cluster;
    const unheard = this.#hearing.missing(nowMs);
    const heard = this.#hearing.hears(nowMs);
    const isTold = nowMs >= this.#toldFromMs;
    const deaf = heard.filter((id) => this.#hearing.lastOf(id)?.misses.includes(self));
    const ids = isTold ? [...unheard, ...deaf].sort() : unheard;
    this.#alert.look(nowMs, ids, this.#hearing.isInDoubt(nowMs), () =>
      describeCut({
        self,
        heard: new Map(heard.flatMap((id) => this.#saidBy(id))),
        unheard: new Map(unheard.map((id) => [id, this.#hearing.lastOf(id)])),
      }),
    );
  }

  #saidBy(id: string): [string, Heartbeat][] {
    const last = this.#hearing.lastOf(id);
    return last === undefined ? [] : [[id, last]];
  }
}
