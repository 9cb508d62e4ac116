import type { Incarnation } from '../dot.ts';
import type { CommitRange } from '../replica-delta.ts';

/**
 * How many commits of each incarnation a replica has joined in, without gaps: a version vector
 * (Parker et al., "Detection of mutual inconsistency in distributed systems", 1983).
 */
export type Vector = Map<Incarnation, number>;
export type ReadonlyVector = ReadonlyMap<Incarnation, number>;

const DIGEST_BITS = 48;
const DIGEST_MODULUS = 2 ** DIGEST_BITS;

/**
 * A number that differs, but for one case in 2^48, when vectors do. Against accidents only; it does
 * not depend on the order of entries.
 */
export function vectorDigest(vector: ReadonlyVector): number {
  let sum = 0;
  for (const [incarnation, commits] of vector) {
    if (commits > 0) sum = (sum + entryDigest(incarnation, commits)) % DIGEST_MODULUS;
  }
  return sum;
}

/** Whether `vector` has all that `other` has. */
export function coversVector(vector: ReadonlyVector, other: ReadonlyVector): boolean {
  for (const [incarnation, commits] of other) {
    if ((vector.get(incarnation) ?? 0) < commits) return false;
  }
  return true;
}

export function isSameVector(a: ReadonlyVector, b: ReadonlyVector): boolean {
  return coversVector(a, b) && coversVector(b, a);
}

/** What `vector` has and `known` lacks. */
export function rangesTo(vector: ReadonlyVector, known: ReadonlyVector): CommitRange[] {
  const ranges: CommitRange[] = [];
  for (const [incarnation, upTo] of vector) {
    const after = known.get(incarnation) ?? 0;
    if (upTo > after) ranges.push({ incarnation, after, upTo });
  }
  return ranges;
}

/** Where ranges end. */
export function upToOf(ranges: readonly CommitRange[]): Vector {
  return new Map(ranges.map(({ incarnation, upTo }) => [incarnation, upTo]));
}

/** Incarnations are random, so some of their digits mixed with the number spread well enough. */
function entryDigest(incarnation: Incarnation, commits: number): number {
  const high = Number.parseInt(incarnation.slice(0, 8), 16);
  const low = Number.parseInt(incarnation.slice(8, 16), 16);
  const first = mix(high ^ mix(commits >>> 0));
  const second = mix(low ^ mix(Math.floor(commits / 2 ** 32) ^ first));
  return (first & 0xffff) * 2 ** 32 + second;
}

/** The finalizer of MurmurHash3 (A. Appleby, public domain). */
function mix(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
