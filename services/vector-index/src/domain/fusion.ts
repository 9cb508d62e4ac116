/** A row with how well it matches; higher is better. */
export interface Ranked {
  readonly row: number;
  readonly score: number;
}

/** Cormack, Clarke and Büttcher 2009. */
export const RECIPROCAL_RANK_K = 60;

/** Best first; equal scores by place in the log, so that the order never depends on the index. */
export function byScore(before: (a: number, b: number) => number) {
  return (a: Ranked, b: Ranked): number => b.score - a.score || before(a.row, b.row);
}

/** Fuses rankings (best first) by the sum of reciprocal ranks. */
export function fuse(
  rankings: readonly (readonly Ranked[])[],
  before: (a: number, b: number) => number,
): Ranked[] {
  const scores = new Map<number, number>();
  for (const ranking of rankings) {
    ranking.forEach(({ row }, rank) => {
      scores.set(row, (scores.get(row) ?? 0) + 1 / (RECIPROCAL_RANK_K + rank + 1));
    });
  }
  return [...scores].map(([row, score]) => ({ row, score })).sort(byScore(before));
}

/** The best `count` of many rows, best first, without sorting them all. */
export function best(
  rows: Uint32Array,
  scores: Float64Array,
  count: number,
  before: (a: number, b: number) => number,
): Ranked[] {
  const order = byScore(before);
  let kept: Ranked[] = [];
  let floor = Number.NEGATIVE_INFINITY;
  for (const row of rows) {
    const score = scores[row] ?? 0;
    if (score < floor) continue;
    kept.push({ row, score });
    if (kept.length < 4 * count + 64) continue;
    kept = kept.sort(order).slice(0, count);
    floor = kept.at(-1)?.score ?? floor;
  }
  return kept.sort(order).slice(0, count);
}
