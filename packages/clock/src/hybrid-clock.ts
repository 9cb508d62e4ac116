import { MemplaneError } from '@memplane/contracts';
import { firstHlcOf, formatHlc, type Hlc, hlcToMs } from './hlc.ts';

export interface HybridClockOptions {
  /** The physical clock: milliseconds since 1970. Fractions are cut off. */
  readonly now: () => number;
  /** How far ahead of the physical clock a received stamp may be, in milliseconds. */
  readonly driftMaxMs: number;
  /** The highest stamp that this node may ever have given, e.g. the highest one in its log. */
  readonly floor?: Hlc;
}

/**
 * A hybrid logical clock (Kulkarni, Demirbas, Madappa, Avva, Leone: "Logical Physical Clocks and
 * Consistent Snapshots in Globally Distributed Databases", 2014). With the stamp kept as one
 * number, the paper's rules for `l` and `c` become a maximum: a new stamp is the greatest of the
 * last one + 1, the received one + 1, and the first stamp of the physical millisecond.
 */
export class HybridClock {
  readonly #now: () => number;
  readonly #driftMaxMs: number;
  #last: Hlc;
  /** The physical millisecond that `#last` is known to have reached, to spare a bigint per tick. */
  #reachedMs: number;

  constructor(options: HybridClockOptions) {
    this.#now = options.now;
    this.#driftMaxMs = options.driftMaxMs;
    this.#last = options.floor ?? 0n;
    this.#reachedMs = hlcToMs(this.#last);
  }

  /** The last stamp given or received; the floor before the first. */
  get last(): Hlc {
    return this.#last;
  }

  /** How far the stamps are ahead of the physical clock, in milliseconds; 0 when they are not. */
  get aheadMs(): number {
    return Math.max(0, hlcToMs(this.#last) - Math.trunc(this.#now()));
  }

  /**
   * Raises the clock to a stamp of this node's own past, whatever the physical clock says: after a
   * restart no stamp goes back, even where the machine's time was set back meanwhile.
   */
  start(floor: Hlc): void {
    if (floor > this.#last) {
      this.#last = floor;
      this.#reachedMs = hlcToMs(floor);
    }
  }

  /** The stamp of a local event: higher than every stamp given or received before. */
  tick(): Hlc {
    const nowMs = Math.trunc(this.#now());
    if (nowMs > this.#reachedMs) {
      this.#reachedMs = nowMs;
      const physical = firstHlcOf(nowMs);
      if (physical > this.#last) {
        this.#last = physical;
        return physical;
      }
    }
    this.#last += 1n;
    return this.#last;
  }

  /**
   * Takes in a stamp from elsewhere and gives the stamp of its arrival, higher than both.
   * @throws MemplaneError `hlc_too_far_ahead` when the stamp is more than `driftMaxMs` ahead of the
   * physical clock; the clock is then unchanged.
   */
  receive(stamp: Hlc): Hlc {
    const nowMs = Math.trunc(this.#now());
    const aheadMs = hlcToMs(stamp) - nowMs;
    if (aheadMs > this.#driftMaxMs) {
      throw new MemplaneError(
        'hlc_too_far_ahead',
        `The stamp ${formatHlc(stamp)} is ${aheadMs} ms ahead of this node's clock; ` +
          `at most ${this.#driftMaxMs} ms are accepted`,
        { field: 'hlc', extra: { aheadMs, driftMaxMs: this.#driftMaxMs } },
      );
    }
    if (stamp > this.#last) this.#last = stamp;
    return this.tick();
  }

  /**
   * Takes in a stamp from elsewhere that is not the stamp of an event here. One that is more than
   * `driftMaxMs` ahead of the physical clock leaves the clock as it is; then this returns false.
   */
  observe(stamp: Hlc): boolean {
    if (stamp <= this.#last) return true;
    if (hlcToMs(stamp) - Math.trunc(this.#now()) > this.#driftMaxMs) return false;
    this.#last = stamp;
    return true;
  }
}
