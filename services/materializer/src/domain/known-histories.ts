import { type HistoryEntry, PastFold, type PastState } from './past-state.ts';

/** Rows of one history without a gap between them, oldest first, at least one. */
interface Stretch {
  readonly history: KnownHistory;
  /** Whether nothing of the history is before it. */
  readonly isFirst: boolean;
  rows: readonly HistoryEntry[];
  bytes: number;
}

interface KnownHistory {
  readonly key: string;
  /** Whose history it was; under another owner nothing is known of it. */
  readonly owner: object;
  /** In order, none overlaps the next. */
  readonly stretches: Stretch[];
}

/** What a row takes beside its value, estimated. */
const ROW_BYTES = 200;

/**
 * Parts of histories that were read not long ago, so that states of the past are found again
 * without a store. What is in a history never changes: it only ends, by an erasure or by retention,
 * and whoever asks looks for that first. Bounded in bytes; who was not asked for longest goes first.
 */
export class KnownHistories {
  readonly #bytesMax: number;
  readonly #histories = new Map<string, KnownHistory>();
  /** In the order of their last use. */
  readonly #used = new Set<Stretch>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Estimated. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether anything of a history is known. */
  has(owner: object, key: string): boolean {
    return this.#historyOf(owner, key) !== undefined;
  }

  /** The state after the event at exactly this offset; nothing where the rows for it are not known. */
  stateAt(owner: object, key: string, offset: number): PastState | undefined {
    const stretches = this.#historyOf(owner, key)?.stretches ?? [];
    const stretch = stretches[lastUpTo(stretches, offset, (one) => firstOf(one))];
    if (stretch === undefined) return undefined;
    const { rows } = stretch;
    const newest = lastUpTo(rows, offset, (row) => row.offset);
    if (rows[newest]?.offset !== offset) return undefined;
    const fold = new PastFold();
    let isWhole = false;
    for (let i = newest; i >= 0 && !isWhole; i--) isWhole = fold.add(rows[i] as HistoryEntry);
    if (!isWhole && !stretch.isFirst) return undefined;
    this.#used.delete(stretch);
    this.#used.add(stretch);
    const past = fold.finish();
    return past?.rowOffset === offset ? past : undefined;
  }

  /**
   * Keeps rows without a gap between them, oldest first.
   * @param isFirst whether nothing of the history is before them
   */
  keep(owner: object, key: string, given: readonly HistoryEntry[], isFirst: boolean): void {
    const history = this.#historyOf(owner, key) ?? this.#begin(owner, key);
    const { stretches } = history;
    const first = given[0]?.offset ?? 0;
    let at = lastUpTo(stretches, first, (one) => firstOf(one));
    const before = stretches[at];
    // What is known twice stays with the newer one before, and with the older one after it.
    if (before !== undefined) this.#cut(before, (row) => row.offset < first);
    if (before === undefined || before.rows.length > 0) at++;
    const next = stretches[at];
    const end = next === undefined ? Number.POSITIVE_INFINITY : firstOf(next);
    const stretch: Stretch = { history, isFirst, rows: [], bytes: 0 };
    this.#cut(stretch, (row) => row.offset < end, given);
    if (stretch.rows.length > 0) {
      stretches.splice(at, 0, stretch);
      this.#used.add(stretch);
    }
    if (stretches.length > 0) this.#histories.set(key, history);
    for (const oldest of this.#used) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#cut(oldest, () => false);
    }
  }

  /** Forgets what an owner's histories had. */
  forget(owner: object): void {
    for (const stretch of [...this.#used]) {
      if (stretch.history.owner === owner) this.#cut(stretch, () => false);
    }
  }

  #historyOf(owner: object, key: string): KnownHistory | undefined {
    const history = this.#histories.get(key);
    return history?.owner === owner ? history : undefined;
  }

  #begin(owner: object, key: string): KnownHistory {
    for (const stretch of [...(this.#histories.get(key)?.stretches ?? [])]) {
      this.#cut(stretch, () => false);
    }
    return { key, owner, stretches: [] };
  }

  /** Leaves a stretch some of its rows; one without any goes. */
  #cut(
    stretch: Stretch,
    stays: (row: HistoryEntry) => boolean,
    rows: readonly HistoryEntry[] = stretch.rows,
  ): void {
    this.#bytes -= stretch.bytes;
    stretch.rows = rows.filter(stays);
    stretch.bytes = stretch.rows.reduce((sum, { value }) => sum + value.length + ROW_BYTES, 0);
    this.#bytes += stretch.bytes;
    if (stretch.rows.length > 0) return;
    this.#used.delete(stretch);
    const { key, stretches } = stretch.history;
    const at = stretches.indexOf(stretch);
    if (at >= 0) stretches.splice(at, 1);
    if (stretches.length === 0 && this.#histories.get(key) === stretch.history) {
      this.#histories.delete(key);
    }
  }
}

function firstOf({ rows }: Stretch): number {
  return rows[0]?.offset ?? 0;
}

/** The index of the last one at or before an offset; −1: none. In order, by bisection. */
function lastUpTo<T>(all: readonly T[], offset: number, offsetOf: (one: T) => number): number {
  let low = 0;
  let high = all.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (offsetOf(all[middle] as T) <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
