export interface GradientOptions {
  readonly limit_min: number;
  readonly limit_max: number;
  readonly limit_initial: number;
  /** How long times are collected before the limit is judged anew. */
  readonly windowMs: number;
  /** A window with fewer times goes on. */
  readonly window_samples_min: number;
  /** How many times slower than usual counts as no queue yet. */
  readonly tolerance: number;
}

export const GRADIENT_DEFAULTS = {
  windowMs: 100,
  window_samples_min: 10,
  tolerance: 1.5,
} as const satisfies Partial<GradientOptions>;

/** Part of a new limit that counts at once. */
const SMOOTHING = 0.2;
/** A window that shows four times the usual is believed to be twice. */
const GRADIENT_MIN = 0.5;
/** Windows that the usual time is an average of: a minute of windows of 100 ms. */
const LONG_WINDOWS = 600;
/** The first windows count alike: nothing was usual before. */
const WARM_UP_WINDOWS = 10;
/** Where all was taken, times are those of the load: the usual one follows them this much slower. */
const SATURATED_SLOWDOWN = 10;

/** How long requests of one kind usually take, so that another mix of kinds is not taken for load. */
export class Baseline {
  /** The usual time; 0 until a window has told. */
  longMs = 0;
  /** Of this window. */
  sumMs = 0;
  samples = 0;
  #windows = 0;

  /** Ends a window. */
  fold(isSaturated: boolean): void {
    const shortMs = this.sumMs / this.samples;
    this.sumMs = 0;
    this.samples = 0;
    this.#windows++;
    if (this.#windows <= WARM_UP_WINDOWS) {
      this.longMs += (shortMs - this.longMs) / this.#windows;
      return;
    }
    const slowdown = isSaturated && shortMs > this.longMs ? SATURATED_SLOWDOWN : 1;
    this.longMs += ((shortMs - this.longMs) * 2) / (LONG_WINDOWS + 1) / slowdown;
    // After a long load the usual would stay too high for a minute, and let a new one in.
    if (this.longMs > 2 * shortMs) this.longMs *= 0.9;
  }
}

/**
 * How many requests may be under way at once, found out by how long they take. What takes longer
 * than usual waits somewhere within: the limit shrinks in proportion; while nothing does it grows by
 * its square root, which is the queue that is granted.
 *
 * The gradient of Netflix's concurrency-limits (`Gradient2Limit`, with the queue of `GradientLimit`;
 * "Performance Under Load", Netflix TechBlog, 2018), with two changes: each kind of request has its own usual time,
 * and the usual times hardly follow what a saturated service shows, so that minutes of overload do
 * not become what is usual.
 */
export class GradientLimit {
  readonly #options: GradientOptions;
  readonly #touched: Baseline[] = [];
  #limit: number;
  #samples = 0;
  #windowStartMs = -1;
  #inflightMax = 0;

  constructor(options: GradientOptions) {
    this.#options = options;
    this.#limit = options.limit_initial;
  }

  /** A whole number. */
  get limit(): number {
    return Math.floor(this.#limit);
  }

  /**
   * Takes in one request that has ended.
   * @param inflight how many were under way then, this one included
   * @param nowMs of a clock that never goes back
   */
  sample(kind: Baseline, tookMs: number, inflight: number, nowMs: number): void {
    if (this.#windowStartMs < 0) this.#windowStartMs = nowMs;
    if (kind.samples === 0) this.#touched.push(kind);
    kind.samples++;
    kind.sumMs += tookMs;
    this.#samples++;
    if (inflight > this.#inflightMax) this.#inflightMax = inflight;
    const { windowMs, window_samples_min } = this.#options;
    if (nowMs - this.#windowStartMs >= windowMs && this.#samples >= window_samples_min) {
      this.#judge();
      this.#windowStartMs = nowMs;
    }
  }

  #judge(): void {
    let usualMs = 0;
    let tookMs = 0;
    for (const kind of this.#touched) {
      usualMs += (kind.longMs === 0 ? kind.sumMs / kind.samples : kind.longMs) * kind.samples;
      tookMs += kind.sumMs;
    }
    const isSaturated = this.#inflightMax >= this.limit;
    for (const kind of this.#touched) kind.fold(isSaturated);
    this.#touched.length = 0;
    this.#samples = 0;
    const isUsed = this.#inflightMax >= this.#limit / 2;
    this.#inflightMax = 0;
    // With little under way, times say nothing about a limit that far above.
    if (!isUsed || tookMs === 0) return;
    const { limit_min, limit_max, tolerance } = this.#options;
    const gradient = Math.max(GRADIENT_MIN, Math.min(1, (tolerance * usualMs) / tookMs));
    const target = this.#limit * gradient + Math.sqrt(this.#limit);
    const smooth = this.#limit * (1 - SMOOTHING) + target * SMOOTHING;
    this.#limit = Math.max(limit_min, Math.min(limit_max, smooth));
  }
}
