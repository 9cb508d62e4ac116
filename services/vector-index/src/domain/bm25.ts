import type { Bitmap } from './bitmap.ts';

/** The usual constants of BM25 (Robertson and Zaragoza 2009). */
export const BM25_K1 = 1.2;
export const BM25_B = 0.75;
/** What a turn's direct neighbours in its dialogue add to its score, as a part of their own. */
export const NEIGHBOUR_WEIGHT = 0.25;
export const NO_ROW = 0xffffffff;

/** What the scorer needs to know of the texts. */
export interface TextSource {
  /** Calls `visit` for each row that has the term, by rising row. */
  postings(term: string, visit: (row: number, frequency: number) => void): void;
  /** Terms in the row's text. */
  length(row: number): number;
  /** The turn before this one in its dialogue, or {@link NO_ROW}. */
  previousTurn(row: number): number;
}

export interface TextStatistics {
  readonly texts: number;
  readonly averageLength: number;
  /** Rows that have a term; absent: counted among the rows in question. */
  readonly documentFrequency?: (term: string, found: number) => number;
}

/** Scores by row, and the rows that have one. */
export interface TextScores {
  readonly rows: readonly number[];
  readonly scores: Float64Array;
}

/**
 * BM25 over the rows of `live` (all below `rowCount`), each turn's score raised by a part of its
 * neighbours' scores. A pure function of the rows in `live` and the statistics.
 */
export function scoreText(
  terms: ReadonlyMap<string, number>,
  live: Bitmap,
  rowCount: number,
  source: TextSource,
  statistics: TextStatistics,
): TextScores {
  const own = new Float64Array(rowCount);
  const matched: number[] = [];
  // The order of summation is part of the answer.
  for (const term of [...terms.keys()].sort()) {
    const rows: number[] = [];
    const counts: number[] = [];
    let all = 0;
    source.postings(term, (row, frequency) => {
      all++;
      if (!live.has(row)) return;
      rows.push(row);
      counts.push(frequency);
    });
    const found = statistics.documentFrequency?.(term, all) ?? rows.length;
    const idf = Math.log(1 + Math.max(0, statistics.texts - found + 0.5) / (found + 0.5));
    const weight = Math.max(idf, 1e-6) * (terms.get(term) ?? 1);
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i] ?? 0;
      const frequency = counts[i] ?? 0;
      const relative = source.length(row) / Math.max(statistics.averageLength, 1e-9);
      const norm = BM25_K1 * (1 - BM25_B + BM25_B * relative);
      if (own[row] === 0) matched.push(row);
      own[row] = (own[row] ?? 0) + (weight * frequency * (BM25_K1 + 1)) / (frequency + norm);
    }
  }
  return withNeighbours(own, matched, live, source);
}

function withNeighbours(
  own: Float64Array,
  matched: readonly number[],
  live: Bitmap,
  source: TextSource,
): TextScores {
  const scores = own.slice();
  const rows = [...matched];
  // By rising row, so that sums do not depend on the order of the terms' rows.
  for (const row of Uint32Array.from(matched).sort()) {
    const previous = source.previousTurn(row);
    if (previous === NO_ROW || !live.has(previous)) continue;
    const before = own[previous] ?? 0;
    if (before === 0 && scores[previous] === 0) rows.push(previous);
    scores[previous] = (scores[previous] ?? 0) + NEIGHBOUR_WEIGHT * (own[row] ?? 0);
    scores[row] = (scores[row] ?? 0) + NEIGHBOUR_WEIGHT * before;
  }
  return { rows, scores };
}
