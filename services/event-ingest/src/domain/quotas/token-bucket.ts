/**
 * A token bucket that may go into debt: what comes while anything is left passes whole, and what it
 * took too much is waited for by the next. So a batch that is larger than a second's share passes
 * too, and over time no more goes through than the rate. Times are of one clock that never goes back.
 */
export class TokenBucket {
  readonly ratePerSecond: number;
  #level: number;
  #atMs: number;

  /** Full at first: a second's share at once. @param nowMs milliseconds */
  constructor(ratePerSecond: number, nowMs: number) {
    this.ratePerSecond = ratePerSecond;
    this.#level = ratePerSecond;
    this.#atMs = nowMs;
  }

  /** How long until something passes, in milliseconds; 0: now. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs);
    return this.#level > 0 ? 0 : Math.ceil(((1 - this.#level) / this.ratePerSecond) * 1000);
  }

  /** Call it only where `waitMs` is 0. */
  take(amount: number): void {
    this.#level -= amount;
  }

  /** What is taken and not given back by time yet; more than the rate is debt. */
  used(nowMs: number): number {
    this.#fill(nowMs);
    return Math.ceil(this.ratePerSecond - this.#level);
  }

  #fill(nowMs: number): void {
    const gained = (Math.max(0, nowMs - this.#atMs) / 1000) * this.ratePerSecond;
    this.#level = Math.min(this.ratePerSecond, this.#level + gained);
    this.#atMs = Math.max(this.#atMs, nowMs);
  }
}
