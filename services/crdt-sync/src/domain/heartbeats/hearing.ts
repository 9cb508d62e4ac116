import { type Heartbeat, isNewer } from './heartbeat.ts';

export interface HearingOptions {
  readonly intervalMs: number;
  /** Heartbeats that must fail to come in a row. */
  readonly missedMax: number;
  /** How late beyond that one may be. */
  readonly graceMs: number;
}

interface Peer {
  /** Since when it is silent: its last heartbeat, or when the first was first expected. */
  silentSinceMs: number;
  isDeparted: boolean;
  last: Heartbeat | undefined;
}

/** Those that are reaped as members while they are missed stay; beyond this, newcomers do not. */
const PEERS_MAX = 4_096;

/** When each other replica was heard last. */
export class Hearing {
  readonly #options: HearingOptions;
  readonly #peers = new Map<string, Peer>();

  constructor(options: HearingOptions) {
    this.#options = options;
  }

  get ids(): string[] {
    return [...this.#peers.keys()].sort();
  }

  /** From now on it should be heard. One that is known already is left as it is. */
  expect(id: string, sinceMs: number): void {
    if (this.#peers.has(id) || this.#peers.size >= PEERS_MAX) return;
    this.#peers.set(id, { silentSinceMs: sinceMs, isDeparted: false, last: undefined });
  }

  /** One of a peer that is expected; false for one that another had overtaken. */
  heard(id: string, heartbeat: Heartbeat, nowMs: number): boolean {
    const peer = this.#peers.get(id);
    if (peer === undefined) return false;
    if (peer.last !== undefined && !isNewer(heartbeat, peer.last)) return false;
    peer.silentSinceMs = nowMs;
    peer.last = heartbeat;
    peer.isDeparted = heartbeat.leaving;
    return true;
  }

  /** It left, or was forgotten: nobody waits for it any more. */
  remove(id: string): void {
    this.#peers.delete(id);
  }

  /** What was not heard since some time does not count, but for those that were missed then. */
  waitAfresh(sinceMs: number, nowMs: number): void {
    const missing = new Set(this.missing(sinceMs));
    for (const [id, peer] of this.#peers) if (!missing.has(id)) peer.silentSinceMs = nowMs;
  }

  /** Of whom a heartbeat came lately. */
  hears(nowMs: number): string[] {
    return this.ids.filter((id) => {
      const last = this.#peers.get(id)?.last;
      return last !== undefined && !last.leaving && this.#silenceMs(id, nowMs) <= this.#limitMs;
    });
  }

  /** Of whom none came for too long. */
  missing(nowMs: number): string[] {
    const { graceMs } = this.#options;
    return this.ids.filter((id) => this.#silenceMs(id, nowMs) > this.#limitMs + graceMs);
  }

  /**
   * Whether somebody is about to be missed: of one cut, the last peer is missed up to an interval
   * after the first.
   */
  isInDoubt(nowMs: number): boolean {
    const { graceMs, intervalMs } = this.#options;
    return this.ids.some((id) => {
      const silenceMs = this.#silenceMs(id, nowMs);
      return silenceMs > this.#limitMs - intervalMs && silenceMs <= this.#limitMs + graceMs;
    });
  }

  lastOf(id: string): Heartbeat | undefined {
    return this.#peers.get(id)?.last;
  }

  /** Undefined for one that was never heard. */
  heardMsAgo(id: string, nowMs: number): number | undefined {
    const peer = this.#peers.get(id);
    return peer?.last === undefined ? undefined : Math.max(0, nowMs - peer.silentSinceMs);
  }

  get #limitMs(): number {
    return this.#options.missedMax * this.#options.intervalMs;
  }

  /** 0 for one that took its leave. */
  #silenceMs(id: string, nowMs: number): number {
    const peer = this.#peers.get(id);
    return peer === undefined || peer.isDeparted ? 0 : nowMs - peer.silentSinceMs;
  }
}
