import { type CounterState, emptyCounter } from './counter.ts';
import { type Claim, compareClaims, hasClaim, uniteClaims } from './op-claims.ts';

/*
 * Operation ids that were counted more than once, with all that is known of where. Of the claims of
 * one id the least whose increments are here counts, the others are excess. So what is known of an id
 * is a set of claims that only grows, and the value follows from what is here: an excess claim counts
 * again where the one before it was lost in a crash.
 */

type Entries = Pick<CounterState, 'entries'>;

/** Whether the increments that a claim is part of are here. */
function isHere({ entries }: Entries, { incarnation, seq }: Claim): boolean {
  return seq <= (entries.get(incarnation)?.seq ?? 0);
}

/** Whether a reset has taken them away. */
function isReset({ entries }: Entries, { incarnation, seq }: Claim): boolean {
  return seq <= (entries.get(incarnation)?.resetSeq ?? 0);
}

/** What was counted more often than once, in sum. */
export function excessSum(state: CounterState): bigint {
  let sum = 0n;
  for (const claims of state.contested?.values() ?? []) {
    const [, ...excess] = claims.filter((claim) => isHere(state, claim));
    for (const claim of excess) if (!isReset(state, claim)) sum += BigInt(claim.by);
  }
  return sum;
}

/**
 * Without the claims that can not matter any more: what was reset is 0 whether it is taken back or
 * not, and of those only the least decides over others. Nothing is left where all were reset.
 */
export function normalClaims(state: Entries, claims: readonly Claim[]): readonly Claim[] {
  const least = claims.findIndex((claim) => isReset(state, claim));
  if (least < 0) return claims;
  const kept = claims.filter((claim, at) => at <= least || !isReset(state, claim));
  return kept.length > 1 ? kept : [];
}

/** After a reset. */
export function dropReset(state: CounterState): void {
  for (const [opId, claims] of state.contested ?? []) setContested(state, opId, claims);
}

/** @returns whether anything changed */
function setContested(state: CounterState, opId: string, claims: readonly Claim[]): boolean {
  const before = state.contested?.get(opId) ?? [];
  const normal = normalClaims(state, claims);
  if (normal.length > 0) {
    state.contested ??= new Map();
    state.contested.set(opId, normal);
  } else if (state.contested?.delete(opId) && state.contested.size === 0) {
    state.contested = undefined;
  }
  return before.length !== normal.length || !normal.every((claim) => hasClaim(before, claim));
}

/** All that is known of an id. */
export function claimsOf({ claims, contested }: CounterState, opId: string): readonly Claim[] {
  const known = contested?.get(opId) ?? [];
  const claim = claims?.get(opId);
  return claim === undefined ? known : uniteClaims(known, [claim]);
}

/** The higher reset of each incarnation that either has. */
function joinedResets(a: CounterState, b: CounterState): CounterState['entries'] {
  const entries = new Map(a.entries);
  for (const [incarnation, entry] of b.entries) {
    if (entry.resetSeq > (entries.get(incarnation)?.resetSeq ?? 0)) entries.set(incarnation, entry);
  }
  return entries;
}

function opIdsOf({ claims, contested }: CounterState): Set<string> {
  return new Set([...(claims?.keys() ?? []), ...(contested?.keys() ?? [])]);
}

/** Joins the claims; the entries were joined before. Returns whether `target` grew. */
export function joinClaimsInto(target: CounterState, source: CounterState): boolean {
  let grew = false;
  for (const opId of opIdsOf(source)) {
    const theirs = source.claims?.get(opId);
    const mine = target.claims?.get(opId);
    const isContested = target.contested?.has(opId) || source.contested?.has(opId);
    if (theirs !== undefined && mine === undefined && !isContested) {
      target.claims ??= new Map();
      target.claims.set(opId, theirs);
      grew = true;
      continue;
    }
    const all = uniteClaims(claimsOf(target, opId), claimsOf(source, opId));
    if (theirs !== undefined && (mine === undefined || compareClaims(theirs, mine) < 0)) {
      target.claims ??= new Map();
      target.claims.set(opId, theirs);
      grew = true;
    }
    if (all.length > 1 && all.length > (target.contested?.get(opId)?.length ?? 0)) {
      grew = setContested(target, opId, all) || grew;
    }
  }
  return grew;
}

/**
 * What shows only when two states meet: claims of one id, not all of which either knows to be so. A
 * replica that has found it must tell it, since others may have forgotten the id by now.
 * @returns undefined where there is nothing
 */
export function foundContested(a: CounterState, b: CounterState): CounterState | undefined {
  const opIds = [...opIdsOf(b)].filter((opId) => claimsOf(a, opId).length > 0);
  if (opIds.length === 0) return undefined;
  const found = emptyCounter();
  for (const opId of opIds) {
    const all = uniteClaims(claimsOf(a, opId), claimsOf(b, opId));
    const has = ({ contested }: CounterState) => (contested?.get(opId)?.length ?? 0) >= all.length;
    if (all.length < 2 || has(a) || has(b)) continue;
    if (normalClaims(a, all).length === 0 || normalClaims(b, all).length === 0) continue;
    found.contested ??= new Map();
    found.claims ??= new Map();
    found.contested.set(opId, all);
    const [least] = all;
    if (least !== undefined) found.claims.set(opId, least);
  }
  return found.contested && found;
}

/** Irreducible parts: the claims, and pairs of claims of one id. */
export function* decomposeClaims(state: CounterState): Generator<CounterState> {
  for (const claim of state.claims ?? []) yield { ...emptyCounter(), claims: new Map([claim]) };
  for (const [opId, all] of state.contested ?? []) {
    const claim = state.claims?.get(opId);
    // The id's claim brings itself along, where there is something to join.
    const others = all.length > 2 && claim ? all.filter((it) => it !== claim) : all;
    for (let at = 1; at < others.length; at++) {
      const pair = others.slice(at - 1, at + 1);
      yield { ...emptyCounter(), contested: new Map([[opId, pair]]) };
    }
  }
}

/** The claims of `a` that `b` lacks. What follows from the others is not given again. */
export function claimsDifference(
  a: CounterState,
  b: CounterState,
): Pick<CounterState, 'claims' | 'contested'> {
  const claims = new Map<string, Claim>();
  const contested = new Map<string, readonly Claim[]>();
  const joined: Entries = { entries: joinedResets(a, b) };
  for (const opId of opIdsOf(a)) {
    const [mine, theirs] = [a.claims?.get(opId), b.claims?.get(opId)];
    if (mine !== undefined && (theirs === undefined || compareClaims(mine, theirs) < 0)) {
      claims.set(opId, mine);
    }
    const known = claimsOf(b, opId);
    const all = claimsOf(a, opId);
    const normal = normalClaims(joined, uniteClaims(known, all));
    const given = claims.has(opId) && mine !== undefined ? [...known, mine] : known;
    const lacking = all.filter((claim) => hasClaim(normal, claim) && !hasClaim(given, claim));
    const [only] = lacking;
    if (only === undefined) continue;
    if (lacking.length > 1) contested.set(opId, lacking);
    else if (only === mine) claims.set(opId, only);
    else contested.set(opId, uniteClaims(lacking, all.filter((it) => it !== only).slice(0, 1)));
  }
  return {
    claims: claims.size > 0 ? claims : undefined,
    contested: contested.size > 0 ? contested : undefined,
  };
}
