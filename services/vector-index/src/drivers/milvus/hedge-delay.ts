const STEP = 1.05;
/** So many times what is usual is late. */
const LATE_FACTOR = 2;

/**
 * When an answer is late enough to begin another way to it beside it (a hedged request: Dean and
 * Barroso, The Tail at Scale, 2013). It follows the median of what answers take, a step up or down
 * with each (Ma, Muthukrishnan and Sandler, Frugal Streaming, 2013): some that hang do not move it,
 * and a load that slows all of them soon does, so that hedges do not add to it.
 */
export class HedgeDelay {
  readonly #msMin: number;
  #usualMs: number;

  /** @param msMin nothing is late before, in milliseconds */
  constructor(msMin: number) {
    this.#msMin = msMin;
    this.#usualMs = msMin / LATE_FACTOR;
  }

  /** An answer took so long. @param ms milliseconds */
  note(ms: number): void {
    this.#usualMs = ms > this.#usualMs ? this.#usualMs * STEP : this.#usualMs / STEP;
    this.#usualMs = Math.max(this.#usualMs, this.#msMin / LATE_FACTOR);
  }

  /** From asking on, in milliseconds. */
  get ms(): number {
    return this.#usualMs * LATE_FACTOR;
  }
}
