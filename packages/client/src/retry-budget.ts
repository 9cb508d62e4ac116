/** Of each call, a fifth of a repetition: a fleet that is refused asks for little more than without. */
const PER_CALL = 0.2;
/** For a client that calls so seldom that its calls give none. */
const PER_SECOND = 2;
const TOKENS_MAX = 20;

/**
 * How many repetitions a client may make, in proportion to its calls, so that its repetitions never
 * multiply the load of a plane that has too much to do (as in Finagle's `RetryBudget` and gRPC's
 * retry throttling, gRFC A6). Where it is used up, repetitions wait for it: none is lost by it.
 */
export class RetryBudget {
  #tokens = TOKENS_MAX;
  #atMs: number;

  /** @param nowMs of a clock that never goes back, here as everywhere */
  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /** A call is made for the first time. */
  earn(): void {
    this.#tokens = Math.min(TOKENS_MAX, this.#tokens + PER_CALL);
  }

  /** Takes one repetition. @returns how long it has to wait for it, in milliseconds */
  spend(nowMs: number): number {
    const earned = ((nowMs - this.#atMs) / 1_000) * PER_SECOND;
    this.#tokens = Math.min(TOKENS_MAX, this.#tokens + earned) - 1;
    this.#atMs = nowMs;
    return this.#tokens >= 0 ? 0 : (-this.#tokens * 1_000) / PER_SECOND;
  }

  /** A repetition that was taken is not made. */
  giveBack(): void {
    this.#tokens = Math.min(TOKENS_MAX, this.#tokens + 1);
  }
}
