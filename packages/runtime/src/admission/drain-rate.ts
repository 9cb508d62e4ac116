/** How long the rate is averaged over. */
const TIME_CONSTANT_MS = 2_000;
const WINDOW_MS = 100;

export const RETRY_AFTER_MS = { min: 100, max: 10_000, unknown: 1_000 } as const;

/** How many requests a second end here, measured, and so how long a queue takes. */
export class DrainRate {
  #perMs = 0;
  #ended = 0;
  #windowStartMs = -1;

  /** @param nowMs of a clock that never goes back */
  end(nowMs: number): void {
    if (this.#windowStartMs < 0) this.#windowStartMs = nowMs;
    this.#ended++;
    if (nowMs - this.#windowStartMs >= WINDOW_MS) this.#fold(nowMs);
  }

  perSecond(nowMs: number): number {
    if (this.#windowStartMs < 0) return 0;
    // Where nothing ends any more nobody calls `end`.
    if (nowMs - this.#windowStartMs >= WINDOW_MS) this.#fold(nowMs);
    return this.#perMs * 1_000;
  }

  /** When so many requests will have ended, in milliseconds from now. */
  drainMs(requests: number, nowMs: number): number {
    const perMs = this.perSecond(nowMs) / 1_000;
    if (perMs === 0) return RETRY_AFTER_MS.unknown;
    const ms = Math.ceil(requests / perMs);
    return Math.min(RETRY_AFTER_MS.max, Math.max(RETRY_AFTER_MS.min, ms));
  }

  #fold(nowMs: number): void {
    const elapsedMs = nowMs - this.#windowStartMs;
    const seen = this.#ended / elapsedMs;
    const weight = this.#perMs === 0 ? 1 : 1 - Math.exp(-elapsedMs / TIME_CONSTANT_MS);
    this.#perMs += (seen - this.#perMs) * weight;
    this.#ended = 0;
    this.#windowStartMs = nowMs;
  }
}
