const BATCHES = 20;
const WITHIN_MS = 100;

/**
 * Whether batches follow each other so fast that fewer, larger ones would be cheaper. While few come,
 * each at once is what users see soonest.
 */
export class BatchPace {
  /** When the last batches were begun, in a ring. */
  readonly #times = new Float64Array(BATCHES).fill(Number.NEGATIVE_INFINITY);
  #next = 0;

  /** A batch begins. @param now on any clock, in ms */
  note(now: number): void {
    this.#times[this.#next] = now;
    this.#next = (this.#next + 1) % BATCHES;
  }

  isHigh(now: number): boolean {
    return now - (this.#times[this.#next] as number) < WITHIN_MS;
  }
}
