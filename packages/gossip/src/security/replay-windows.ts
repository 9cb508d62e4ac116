interface Window {
  epoch: number;
  highest: number;
  /** One bit for each of the last sequences, in a ring. */
  readonly seen: Uint32Array;
}

export type Freshness = 'fresh' | 'replayed' | 'too_old';

/**
 * Knows which packets of each sender came in before: a sliding window over the sequences of its
 * latest start, moved a word at a time (Zhang, Tsou: RFC 6479). Duplicates made by the network and
 * packets that somebody recorded are told from fresh ones alike.
 *
 * What a replay can still do: a member that has just started, or that gave up a silent sender's
 * window, takes each recorded packet once; so does a member that the packet, not addressed to
 * anybody, never reached. It then hears an old claim, which a lower incarnation makes void or its
 * subject refutes, or delivers an old payload of the application a second time. Payloads must
 * therefore be idempotent, as gossip makes them anyway.
 */
export class ReplayWindows {
  readonly #windowPackets: number;
  readonly #sendersMax: number;
  /** The longest silent sender first. */
  readonly #windows = new Map<string, Window>();

  constructor(windowPackets: number, sendersMax: number) {
    this.#windowPackets = windowPackets;
    this.#sendersMax = sendersMax;
  }

  get senders(): number {
    return this.#windows.size;
  }

  /** Judges a packet and remembers it. */
  check(sender: string, epoch: number, sequence: number): Freshness {
    const window = this.#windowOf(sender, epoch);
    if (window === undefined) return 'replayed';
    const words = window.seen.length;
    const word = Math.floor(sequence / 32);
    if (sequence > window.highest) {
      const from = Math.floor(window.highest / 32);
      const cleared = Math.min(word - from, words);
      for (let i = 1; i <= cleared; i++) window.seen[(from + i) % words] = 0;
      window.highest = sequence;
    } else if (window.highest - sequence >= this.#windowPackets) {
      return 'too_old';
    }
    const bit = (1 << (sequence % 32)) >>> 0;
    const before = window.seen[word % words] ?? 0;
    if ((before & bit) !== 0) return 'replayed';
    window.seen[word % words] = before | bit;
    return 'fresh';
  }

  forget(sender: string): void {
    this.#windows.delete(sender);
  }

  #windowOf(sender: string, epoch: number): Window | undefined {
    const known = this.#windows.get(sender);
    if (known !== undefined && epoch < known.epoch) return undefined;
    // One word more than the window, as whole words are cleared ahead of it.
    const words = this.#windowPackets / 32 + 1;
    const window =
      known?.epoch === epoch ? known : { epoch, highest: 0, seen: new Uint32Array(words) };
    this.#windows.delete(sender);
    this.#windows.set(sender, window);
    if (this.#windows.size > this.#sendersMax) {
      for (const silent of this.#windows.keys()) {
        this.#windows.delete(silent);
        break;
      }
    }
    return window;
  }
}
