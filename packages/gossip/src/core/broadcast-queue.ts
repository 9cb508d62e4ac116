interface Broadcast {
  readonly key: string;
  readonly bytes: Uint8Array;
  readonly done: (() => void) | undefined;
}

/** How often one news is sent among `liveMembers` members: λ·⌈log10(n + 1)⌉ (SWIM, §4.1). */
export function retransmits(retransmitMult: number, liveMembers: number): number {
  return retransmitMult * Math.ceil(Math.log10(liveMembers + 1));
}

/**
 * News that ride in packets (Das, Gupta, Motivala: "SWIM: Scalable Weakly-consistent
 * Infection-style Process Group Membership Protocol", 2002, §4.1): the least sent go first, each a
 * bounded number of times, and a newer one about the same subject takes the older one's place.
 *
 * An application can keep its own news in one too, and offer from it.
 */
export class BroadcastQueue {
  readonly #broadcastsMax: number;
  readonly #pushedOut: () => void;
  /** By how often they were sent; each tier in the order of arrival. */
  readonly #tiers: Set<Broadcast>[] = [];
  readonly #byKey = new Map<string, { broadcast: Broadcast; tier: number }>();

  /**
   * @param broadcastsMax how many may wait; the most sent makes room for a newer one
   * @param pushedOut called for each that had to make room
   */
  constructor(broadcastsMax: number, pushedOut: () => void = () => {}) {
    this.#broadcastsMax = broadcastsMax;
    this.#pushedOut = pushedOut;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /**
   * Queues news about a subject.
   * @param done called once when it was sent often enough, was replaced or had to make room
   */
  put(key: string, bytes: Uint8Array, done?: () => void): void {
    this.remove(key);
    if (this.#byKey.size >= this.#broadcastsMax) {
      const oldest = this.#mostSent();
      if (oldest !== undefined) {
        this.remove(oldest);
        this.#pushedOut();
      }
    }
    this.#file({ key, bytes, done }, 0);
  }

  remove(key: string): void {
    const found = this.#byKey.get(key);
    if (found === undefined) return;
    this.#byKey.delete(key);
    this.#tiers[found.tier]?.delete(found.broadcast);
    found.broadcast.done?.();
  }

  /**
   * Takes what fits, the least sent first, and counts it as sent once more.
   * @param overheadBytes what each costs besides its own length
   */
  take(limitBytes: number, sendsMax: number, overheadBytes = 0): Uint8Array[] {
    const taken: Uint8Array[] = [];
    const sent: { broadcast: Broadcast; tier: number }[] = [];
    let leftBytes = limitBytes;
    for (const [tier, broadcasts] of this.#tiers.entries()) {
      for (const broadcast of broadcasts) {
        const cost = broadcast.bytes.length + overheadBytes;
        if (cost > leftBytes) continue;
        leftBytes -= cost;
        taken.push(broadcast.bytes);
        sent.push({ broadcast, tier });
      }
      if (leftBytes <= overheadBytes) break;
    }
    // Only now, so that none is met again in the next tier.
    for (const { broadcast, tier } of sent) {
      if (tier + 1 >= sendsMax) {
        this.remove(broadcast.key);
      } else {
        this.#tiers[tier]?.delete(broadcast);
        this.#file(broadcast, tier + 1);
      }
    }
    return taken;
  }

  #file(broadcast: Broadcast, tier: number): void {
    while (this.#tiers.length <= tier) this.#tiers.push(new Set());
    this.#tiers[tier]?.add(broadcast);
    this.#byKey.set(broadcast.key, { broadcast, tier });
  }

  #mostSent(): string | undefined {
    for (const tier of this.#tiers.toReversed()) {
      for (const broadcast of tier) return broadcast.key;
    }
    return undefined;
  }
}
