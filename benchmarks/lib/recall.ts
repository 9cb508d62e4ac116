import { clusteredVectors, seededRandom } from '@memplane/testkit';

/** The data of every benchmark of search: see packages/testkit/src/vectors.ts for the vectors. */
export const SEEDS = { vectors: 1, queries: 2, words: 3 } as const;
export const SEEDS_TEXT = 'vectors 1, queries 2, words 3';
/** `metadata.n` runs over this many values; `n < limit` then matches `limit / 10` percent. */
export const CLASSES = 1000;
/** 100, 10, 1 and 0.1 percent of the rows. */
export const LIMITS = [1000, 100, 10, 1] as const;
export const TOP_K = 10;

const VOCABULARY = 20_000;
const random = seededRandom(SEEDS.words);
/** Words by Zipf's law, as texts have them. */
export const words = (count: number): string =>
  Array.from({ length: count }, () => `w${Math.floor(VOCABULARY ** random())}`).join(' ');

export function queryVectors(count: number, dimensions: number): Float32Array[] {
  const source = clusteredVectors({ seed: SEEDS.queries, dimensions });
  return Array.from({ length: count }, () => {
    const query = new Float32Array(dimensions);
    source.next(query);
    return query;
  });
}

/**
 * The exact best rows for each of {@link LIMITS} and each query. A second pass over the same seed,
 * so that the vectors need not be held.
 */
export function exactTop(rows: number, queries: readonly Float32Array[]): number[][][] {
  const dimensions = queries[0]?.length ?? 0;
  const truth = LIMITS.map(() => queries.map(() => [] as [row: number, score: number][]));
  const source = clusteredVectors({ seed: SEEDS.vectors, dimensions });
  const vector = new Float32Array(dimensions);
  for (let row = 0; row < rows; row++) {
    source.next(vector);
    for (const [q, query] of queries.entries()) {
      let score = 0;
      for (let d = 0; d < dimensions; d++) score += vector[d]! * query[d]!;
      for (const [l, limit] of LIMITS.entries()) {
        if (row % CLASSES < limit) keepBest(truth[l]![q]!, row, score);
      }
    }
  }
  return truth.map((ofLimit) => ofLimit.map((kept) => kept.map(([row]) => row)));
}

function keepBest(kept: [row: number, score: number][], row: number, score: number): void {
  if (kept.length === TOP_K && score <= kept[TOP_K - 1]![1]) return;
  kept.push([row, score]);
  kept.sort((a, b) => b[1] - a[1]);
  kept.length = Math.min(kept.length, TOP_K);
}

/** The part of the exact rows that was found. */
export function recall(truth: readonly number[][], found: readonly number[][]): number {
  const hits = truth.reduce(
    (sum, rows, q) => sum + rows.filter((row) => found[q]?.includes(row)).length,
    0,
  );
  return hits / truth.reduce((sum, rows) => sum + rows.length, 0);
}
