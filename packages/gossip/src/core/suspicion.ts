import type { Cancel, Timers } from '../ports.ts';
import type { GossipSettings } from '../settings.ts';

/**
 * How many stalls in a row put a verdict off. On a machine that never gets to its timers in time,
 * the dead would otherwise never be found.
 */
export const STALLS_EXCUSED_MAX = 5;

export interface SuspicionBounds {
  /** How many independent confirmations shorten the suspicion to its minimum. */
  readonly confirmationsMax: number;
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * The bounds of a suspicion among `liveMembers` members, this one included. The minimum grows with
 * the logarithm of the members, as the time does that a refutation needs to reach all. Where too
 * few others are there to confirm, the minimum is the time at once.
 */
export function suspicionBounds(settings: GossipSettings, liveMembers: number): SuspicionBounds {
  const decades = Math.max(1, Math.log10(Math.max(1, liveMembers)));
  const minMs = settings.suspicionMult * decades * settings.probeIntervalMs;
  const wanted = Math.max(0, Math.trunc(settings.suspicionMult) - 2);
  return {
    confirmationsMax: liveMembers - 2 < wanted ? 0 : wanted,
    minMs,
    maxMs: minMs * settings.suspicionMaxTimeoutMult,
  };
}

/**
 * How long a suspicion lasts from its start, in milliseconds (Lifeguard, §IV-B):
 * max − (max − min) · log(c + 1) / log(K + 1) for c confirmations of K.
 */
export function suspicionTimeoutMs(confirmations: number, bounds: SuspicionBounds): number {
  const { confirmationsMax, minMs, maxMs } = bounds;
  if (confirmationsMax < 1) return minMs;
  const share = Math.log(confirmations + 1) / Math.log(confirmationsMax + 1);
  return Math.max(minMs, maxMs - (maxMs - minMs) * share);
}

export interface SuspicionOptions {
  readonly timers: Timers;
  readonly bounds: SuspicionBounds;
  /** The first accuser; its later words confirm nothing. */
  readonly accuser: string;
  /** Whether this member has no need to probe the suspect out of turn. */
  readonly asked: boolean;
  /** A run later than this means that the process stood still. */
  readonly stallMs: number;
  /** How long a refutation may still come in after such a stall. */
  readonly graceMs: number;
  readonly expired: () => void;
}

/** One suspicion that runs: it expires unless it is cancelled, the sooner the more confirm it. */
export class Suspicion {
  readonly #options: SuspicionOptions;
  readonly #accusers: Set<string>;
  readonly #startMs: number;
  #excusesLeft = STALLS_EXCUSED_MAX;
  /** Whether this member has probed the suspect since, or need not. */
  asked: boolean;
  #cancel: Cancel;

  constructor(options: SuspicionOptions) {
    this.#options = options;
    this.#accusers = new Set([options.accuser]);
    this.asked = options.asked;
    this.#startMs = options.timers.now();
    this.#cancel = this.#arm(suspicionTimeoutMs(0, options.bounds));
  }

  get confirmations(): number {
    return this.#accusers.size - 1;
  }

  /** Takes in another accuser; true when it is news that others should hear too. */
  confirm(accuser: string): boolean {
    const { bounds, timers } = this.#options;
    if (this.#accusers.has(accuser) || this.confirmations >= bounds.confirmationsMax) return false;
    this.#accusers.add(accuser);
    this.#cancel();
    const elapsedMs = timers.now() - this.#startMs;
    const leftMs = suspicionTimeoutMs(this.confirmations, bounds) - elapsedMs;
    this.#cancel = this.#arm(Math.max(0, leftMs));
    return true;
  }

  cancel(): void {
    this.#cancel();
  }

  #arm(delayMs: number): Cancel {
    const { timers, stallMs, graceMs, expired } = this.#options;
    const dueMs = timers.now() + delayMs;
    return timers.after(delayMs, () => {
      // After a stall the timers run before the packets that waited meanwhile are read, and one of
      // those may be the refutation.
      if (timers.now() - dueMs > stallMs && this.#excusesLeft > 0) {
        this.#excusesLeft -= 1;
        this.#cancel = this.#arm(graceMs);
      } else {
        expired();
      }
    });
  }
}
