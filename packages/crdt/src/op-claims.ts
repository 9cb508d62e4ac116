import { compareText, type Incarnation } from './dot.ts';

/**
 * What an operation id was used for, and where that was counted: in the increments up to the
 * `seq`-th of an incarnation, by the `commit`-th commit of it.
 *
 * `seq` and `commit` are 0 where that is not known (data of before): then it is never taken back.
 */
export interface Claim {
  readonly by: number;
  /** When, as a hybrid logical stamp; an incarnation gives each stamp to one claim. */
  readonly hlc: bigint;
  readonly incarnation: Incarnation;
  readonly seq: number;
  readonly commit: number;
}

/** An operation id, in UTF-16 code units. */
export const OP_ID_UNITS_MAX = 128;

/** Where claims of data of before stand. */
export const UNPLACED: Pick<Claim, 'incarnation' | 'seq' | 'commit'> = {
  incarnation: '0'.repeat(32),
  seq: 0,
  commit: 0,
};

/** Below 0: `a` counts, where both are here. */
export function compareClaims(a: Claim, b: Claim): number {
  return compareStamps(a.hlc, b.hlc) || compareText(a.incarnation, b.incarnation) || a.seq - b.seq;
}

/** The claims of two lists of one id, least first, each once. */
export function uniteClaims(a: readonly Claim[], b: readonly Claim[]): Claim[] {
  const all = [...a, ...b].sort(compareClaims);
  return all.filter((claim, i) => i === 0 || compareClaims(all[i - 1] ?? claim, claim) !== 0);
}

export function hasClaim(claims: readonly Claim[], claim: Claim): boolean {
  return claims.some((it) => compareClaims(it, claim) === 0);
}

/** Newest last. */
export function sortedClaims(claims: ReadonlyMap<string, Claim>): [string, Claim][] {
  return [...claims].sort((a, b) => compareStamps(a[1].hlc, b[1].hlc) || compareText(a[0], b[0]));
}

function compareStamps(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
