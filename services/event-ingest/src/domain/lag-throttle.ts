import { MemplaneError } from '@memplane/contracts';

/** Who is behind: what its refusals are called. */
export interface Follower {
  readonly code: 'views_behind' | 'index_behind';
  readonly limit: 'view_lag_events_max' | 'index_lag_events_max';
  readonly name: string;
}

export const VIEWS: Follower = {
  code: 'views_behind',
  limit: 'view_lag_events_max',
  name: 'The views are',
};
export const INDEX: Follower = {
  code: 'index_behind',
  limit: 'index_lag_events_max',
  name: 'The index is',
};

/** Below this part of the limit nothing is refused. */
const SOFT_PART = 0.5;
/** Of what is refused, each time the lag is seen to fall. */
const EASING = 0.9;
/** Less is none. */
const PART_MIN = 0.01;
const RETRY_AFTER_MS_MAX = 60_000;

/**
 * Slows appends down to what a follower of the log can apply: from half of the limit on it refuses a
 * part of them that grows with the lag, at the limit all. While the lag falls the part does too, so
 * that a follower that is built anew, and catches up, stops nobody.
 */
export class LagThrottle {
  readonly #follower: Follower;
  readonly #max: number;
  #lag: number | undefined;
  #part = 0;
  /** Refusals that are due, as a part of one: no dice needed. */
  #due = 0;

  /** @param lag_events_max 0: no limit */
  constructor(follower: Follower, lag_events_max: number) {
    this.#follower = follower;
    this.#max = lag_events_max;
  }

  get lagEvents(): number {
    return this.#lag ?? 0;
  }

  /** The part of the appends that is refused, from 0 to 1. */
  get part(): number {
    return this.#part;
  }

  /** Each time the lag is known anew. */
  record(lagEvents: number): void {
    const before = this.#lag ?? Number.POSITIVE_INFINITY;
    const wanted = this.#wantedAt(lagEvents);
    const part = lagEvents < before ? Math.min(wanted, this.#part * EASING) : wanted;
    this.#part = part < PART_MIN ? 0 : part;
    this.#lag = lagEvents;
  }

  /**
   * To be asked once for each append.
   * @param pollMs when the lag is known anew
   * @throws MemplaneError `views_behind`, `index_behind`
   */
  check(pollMs: number): void {
    if (this.#part === 0) return;
    this.#due += this.#part;
    if (this.#due < 1) return;
    this.#due -= 1;
    const { code, limit, name } = this.#follower;
    throw new MemplaneError(
      code,
      `${name} ${this.lagEvents} events behind the log; at most ${this.#max}.`,
      {
        retryAfterMs: Math.min(RETRY_AFTER_MS_MAX, pollMs),
        extra: { limit, max: this.#max, lagEvents: this.lagEvents },
      },
    );
  }

  #wantedAt(lagEvents: number): number {
    if (this.#max === 0) return 0;
    const soft = this.#max * SOFT_PART;
    return Math.min(1, Math.max(0, (lagEvents - soft) / (this.#max - soft)));
  }
}
