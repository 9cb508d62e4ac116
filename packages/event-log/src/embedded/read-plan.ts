import type { Place } from './journal-search.ts';

/** Bytes of other partitions that one read rather takes along than to begin another, and cuts. */
const GAP_BYTES = 4 * 1024;

/** A stretch of one segment that is read at once. */
export interface Run {
  readonly segment: number;
  readonly from: number;
  to: number;
  /** Indexes into the read's places. */
  readonly first: number;
  count: number;
}

/** Joins places that lie close together, in order. */
export function coalesce(places: readonly Place[]): Run[] {
  const runs: Run[] = [];
  let run: Run | undefined;
  for (const [i, { segment, position, length }] of places.entries()) {
    const gap = run?.segment === segment ? position - run.to : -1;
    if (run !== undefined && gap >= 0 && gap <= GAP_BYTES) {
      run.to = position + length;
      run.count += 1;
    } else {
      run = { segment, from: position, to: position + length, first: i, count: 1 };
      runs.push(run);
    }
  }
  return runs;
}
