import type { Bitmap } from './bitmap.ts';
import { PostingList } from './postings.ts';

/** The usual constants of BM25 (Robertson and Zaragoza 2009). */
export const BM25_K1 = 1.2;
export const BM25_B = 0.75;
/** What a turn's direct neighbours in its dialogue add to its score, as a part of their own. */
export const NEIGHBOUR_WEIGHT = 0.25;
export const NO_ROW = 0xffffffff;

/** What the scorer needs to know of the texts. */
export interface TextSource {
  /** Appends the rows that have the term, rising. */
  postings(term: string, list: PostingList): void;
  /** Terms in the row's text. */
  length(row: number): number;
  /** The turn before this one in its dialogue, or {@link NO_ROW}. */
  previousTurn(row: number): number;
}

export interface TextStatistics {
  readonly texts: number;
  readonly averageLength: number;
}

/** Scores by row, and the rows that have one. */
export interface TextScores {
  readonly rows: Uint32Array;
  readonly scores: Float64Array;
}

/** Texts of up to so many terms share a table of norms. */
const NORMS = 256;
/** Decoded postings of the term at hand; nothing is kept in it from one term to the next. */
const list = new PostingList();

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
  const matched = new Uint32Array(rowCount);
  let matches = 0;
  const byLength = (BM25_K1 * BM25_B) / Math.max(statistics.averageLength, 1e-9);
  const normOf = (length: number) => BM25_K1 * (1 - BM25_B) + byLength * length;
  const norms = Float64Array.from({ length: NORMS }, (_, length) => normOf(length));
  // The order of summation is part of the answer.
  for (const term of [...terms.keys()].sort()) {
    list.count = 0;
    source.postings(term, list);
    keepLive(list, live, rowCount);
    const { rows, frequencies, count } = list;
    const idf = Math.log(1 + Math.max(0, statistics.texts - count + 0.5) / (count + 0.5));
    const weight = Math.max(idf, 1e-6) * (terms.get(term) ?? 1) * (BM25_K1 + 1);
    for (let i = 0; i < count; i++) {
      const row = rows[i] ?? 0;
      const frequency = frequencies[i] ?? 0;
      const length = source.length(row);
      const norm = norms[length] ?? normOf(length);
      const before = own[row] ?? 0;
      if (before === 0) matched[matches++] = row;
      own[row] = before + (weight * frequency) / (frequency + norm);
    }
  }
  return withNeighbours(own, matched.subarray(0, matches), live, source);
}

function keepLive(list: PostingList, live: Bitmap, rowCount: number): void {
  const { rows, frequencies } = list;
  let kept = 0;
  for (let i = 0; i < list.count; i++) {
    const row = rows[i] ?? 0;
    if (row >= rowCount || !live.has(row)) continue;
    rows[kept] = row;
    frequencies[kept++] = frequencies[i] ?? 0;
  }
  list.count = kept;
}

/** A turn has at most two neighbours, so the order in which they are added changes nothing. */
function withNeighbours(
  own: Float64Array,
  matched: Uint32Array,
  live: Bitmap,
  source: TextSource,
): TextScores {
  let near: Float64Array | undefined;
  const raised: number[] = [];
  for (const row of matched) {
    const previous = source.previousTurn(row);
    if (previous === NO_ROW || !live.has(previous)) continue;
    near ??= new Float64Array(own.length);
    const before = own[previous] ?? 0;
    if (before === 0 && near[previous] === 0) raised.push(previous);
    near[previous] = (near[previous] ?? 0) + (own[row] ?? 0);
    near[row] = (near[row] ?? 0) + before;
  }
  // Many texts are no turns, and so have no neighbours.
  if (near === undefined) return { rows: matched, scores: own };
  const rows = new Uint32Array(matched.length + raised.length);
  rows.set(matched);
  rows.set(raised, matched.length);
  for (const row of rows) own[row] = (own[row] ?? 0) + NEIGHBOUR_WEIGHT * (near[row] ?? 0);
  return { rows, scores: own };
}
