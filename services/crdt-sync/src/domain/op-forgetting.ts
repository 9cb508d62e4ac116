import type { Claim } from '@memplane/crdt';
import { endsAtMs } from './op-ids.ts';
import type { CrdtStore, Ref } from './port.ts';

/**
 * Whether all replicas that may have counted an operation id elsewhere have the claim, by what each
 * has told at `sinceMs` (milliseconds since 1970) or later.
 */
export type IsStable = (claim: Claim, sinceMs: number) => boolean;

export interface OpForgettingOptions {
  readonly store: CrdtStore;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly opid_memory_ms: number;
  readonly hlc_drift_max_ms: number;
  readonly op_ids_per_counter_max: number;
}

const AT_ONCE_MAX = 2_048;
/** Fewer are not worth looking through. */
const KEPT_MIN = 1_024;
/** Where no more could be forgotten, it is tried again after this. */
const INTERVAL_MS = 1_000;
const WAITING_NAMES_MAX = 1_024;

/**
 * Makes room in a counter's memory of operation ids. Forgotten is what no replica takes any more, and
 * all others have: then whoever has counted it elsewhere has found so.
 */
export class OpForgetting {
  readonly #options: OpForgettingOptions;
  readonly #waitingUntilMs = new Map<string, number>();

  constructor(options: OpForgettingOptions) {
    this.#options = options;
  }

  /** Whether a counter that remembers so many should be looked through. */
  isDue(count: number): boolean {
    const { op_ids_per_counter_max } = this.#options;
    const nearlyFull = op_ids_per_counter_max - Math.ceil(op_ids_per_counter_max / 8);
    return count > Math.min(KEPT_MIN, nearlyFull);
  }

  /** @returns how many were forgotten; of the oldest, so many as one turn takes */
  async forget(ref: Ref, isStable: IsStable): Promise<number> {
    const { store, now } = this.#options;
    const key = `${ref.tenant}\0${ref.name}`;
    const nowMs = now();
    if ((this.#waitingUntilMs.get(key) ?? 0) > nowMs) return 0;
    const oldest = await store.oldestOps(ref, AT_ONCE_MAX);
    const ended = oldest.filter(({ opId, claim }) => {
      const sinceMs = endsAtMs(opId, claim, this.#options);
      return sinceMs <= nowMs && isStable(claim, sinceMs);
    });
    if (ended.length < AT_ONCE_MAX) {
      if (this.#waitingUntilMs.size >= WAITING_NAMES_MAX) this.#waitingUntilMs.clear();
      this.#waitingUntilMs.set(key, nowMs + INTERVAL_MS);
    }
    if (ended.length > 0) await store.forgetOps(ref, ended);
    return ended.length;
  }
}
