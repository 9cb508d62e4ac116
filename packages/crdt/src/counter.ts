import { MemplaneError } from '@memplane/contracts';
import { decomposeClaims, dropReset, excessSum, joinClaimsInto } from './contested.ts';
import { compareText, type Incarnation } from './dot.ts';
import { cloneParts, joinPartsInto, type LogParts, sumOfParts } from './log-parts.ts';
import type { Claim } from './op-claims.ts';

/** `g`: only grows (G-Counter). `pn`: goes both ways (PN-Counter). A counter never turns back. */
export type CounterKind = 'g' | 'pn';

/**
 * What one incarnation has contributed: `net` is the sum of all its increments up to its `seq`-th,
 * of which a reset has seen those up to `resetSeq`, in sum `resetNet`. Only the incarnation itself
 * raises `seq`, so `net` is a function of (incarnation, seq) and the higher `seq` wins. A reset
 * copies what it has observed, so it takes away exactly that; whatever is added concurrently
 * survives. One entry an incarnation, however many increments: the embedded, resettable counter of
 * Baquero, Almeida and Lerche ("The problem with embedded CRDT counters and a solution", PaPoC
 * 2016) with prefix sums in place of fresh dots, which keeps a reset exact.
 */
export interface CounterEntry {
  readonly seq: number;
  readonly net: bigint;
  readonly resetSeq: number;
  readonly resetNet: bigint;
}

/**
 * A G-Counter or PN-Counter with reset, the parts of it that are derived from a log, and what makes
 * an increment with an operation id count once however many replicas it was sent to.
 */
export interface CounterState {
  /** Undefined until the first increment. */
  kind: CounterKind | undefined;
  readonly entries: Map<Incarnation, CounterEntry>;
  parts: LogParts | undefined;
  /**
   * By operation id that was counted more than once: its claims, least first; see `contested.ts`.
   * Undefined where there is none.
   */
  contested: Map<string, readonly Claim[]> | undefined;
  /**
   * Of each operation id that is known, the least claim; undefined where there is none. A replica
   * may forget some, so they are in no digest and the value does not depend on them.
   */
  claims: Map<string, Claim> | undefined;
}

export const COUNTER_MAX = Number.MAX_SAFE_INTEGER;

export function emptyCounter(): CounterState {
  return {
    kind: undefined,
    entries: new Map(),
    parts: undefined,
    contested: undefined,
    claims: undefined,
  };
}

export function cloneCounter(state: CounterState): CounterState {
  return {
    kind: state.kind,
    entries: new Map(state.entries),
    parts: state.parts && cloneParts(state.parts),
    contested: state.contested && new Map(state.contested),
    claims: state.claims && new Map(state.claims),
  };
}

/** The sum of what was added and not reset, without the parts of a log. */
export function ownSum(state: CounterState): bigint {
  let sum = 0n;
  for (const entry of state.entries.values()) sum += entry.net - entry.resetNet;
  return state.contested === undefined ? sum : sum - excessSum(state);
}

/** The counter's value, exact even where concurrent increments took it beyond the safe range. */
export function counterSum(state: CounterState): bigint {
  return ownSum(state) + sumOfParts(state.parts);
}

/** @throws MemplaneError `counter_overflow` when merged increments left the safe range. */
export function counterValue(state: CounterState): number {
  return toSafe(counterSum(state));
}

/** Whether anything stands: an increment that no reset has seen, or a part. */
export function counterExists(state: CounterState): boolean {
  if (state.parts !== undefined) return true;
  for (const entry of state.entries.values()) if (entry.seq > entry.resetSeq) return true;
  return false;
}

/**
 * The delta of an increment, O(1) in size.
 * @param by may be negative for a PN-Counter
 * @throws MemplaneError `counter_overflow`, `invalid_request` (negative on a G-Counter),
 * `wrong_type` (a kind other than the counter's).
 */
export function increment(
  state: CounterState,
  incarnation: Incarnation,
  by: bigint,
  kind: CounterKind = state.kind ?? 'pn',
): CounterState {
  checkKind(state, kind, by);
  toSafe(counterSum(state) + by);
  const entry = state.entries.get(incarnation);
  const net = (entry?.net ?? 0n) + by;
  const seq = (entry?.seq ?? 0) + 1;
  const next: CounterEntry = { seq, net, resetSeq: 0, resetNet: 0n };
  return { ...emptyCounter(), kind, entries: new Map([[incarnation, next]]) };
}

/** @throws MemplaneError as {@link increment} does, but for the range. */
export function checkKind(state: CounterState, kind: CounterKind, by: number | bigint): void {
  if (state.kind === (kind === 'g' ? 'pn' : 'g') && (kind === 'g' || counterExists(state))) {
    throw new MemplaneError('wrong_type', `The counter is of kind ${state.kind}.`, {
      field: 'body.kind',
    });
  }
  if (kind === 'g' && by < 0) {
    throw new MemplaneError('invalid_request', 'A G-Counter only grows.', { field: 'body.by' });
  }
}

/** The delta of a reset: takes away what this state has seen, and nothing that it has not. */
export function resetCounter(state: CounterState): CounterState {
  const entries = new Map<Incarnation, CounterEntry>();
  for (const [incarnation, { seq, net, resetSeq }] of state.entries) {
    if (seq > resetSeq) entries.set(incarnation, { seq, net, resetSeq: seq, resetNet: net });
  }
  return { ...emptyCounter(), entries };
}

/** Joins `source` into `target` in place. Returns whether `target` grew. */
export function joinCounterInto(target: CounterState, source: CounterState): boolean {
  let grew = false;
  let wasReset = false;
  if (kindRank(source.kind) > kindRank(target.kind)) {
    target.kind = source.kind;
    grew = true;
  }
  for (const [incarnation, theirs] of source.entries) {
    const mine = target.entries.get(incarnation);
    if (mine === undefined) {
      target.entries.set(incarnation, theirs);
      grew = true;
      wasReset ||= theirs.resetSeq > 0;
    } else if (theirs.seq > mine.seq || theirs.resetSeq > mine.resetSeq) {
      const ahead = theirs.seq > mine.seq ? theirs : mine;
      const reset = theirs.resetSeq > mine.resetSeq ? theirs : mine;
      target.entries.set(incarnation, {
        seq: ahead.seq,
        net: ahead.net,
        resetSeq: reset.resetSeq,
        resetNet: reset.resetNet,
      });
      grew = true;
      wasReset ||= reset === theirs;
    }
  }
  if (wasReset && target.contested !== undefined) dropReset(target);
  if (source.claims !== undefined || source.contested !== undefined) {
    grew = joinClaimsInto(target, source) || grew;
  }
  if (source.parts !== undefined) {
    if (target.parts === undefined) {
      target.parts = cloneParts(source.parts);
      grew = true;
    } else if (joinPartsInto(target.parts, source.parts)) {
      grew = true;
    }
  }
  return grew;
}

export function joinCounters(a: CounterState, b: CounterState): CounterState {
  const joined = cloneCounter(a);
  joinCounterInto(joined, b);
  return joined;
}

/** The irredundant join decomposition (Enes, Almeida, Baquero, Leitão, ICDE 2019). */
export function* decomposeCounter(state: CounterState): Generator<CounterState> {
  const { kind, parts } = state;
  const part = (entry?: [Incarnation, CounterEntry], log?: LogParts): CounterState => ({
    ...emptyCounter(),
    entries: new Map(entry ? [entry] : []),
    parts: log,
  });
  if (kind !== undefined) yield { ...part(), kind };
  for (const [incarnation, { seq, net, resetSeq, resetNet }] of state.entries) {
    if (resetSeq > 0) {
      yield part([incarnation, { seq: resetSeq, net: resetNet, resetSeq, resetNet }]);
    }
    if (seq > resetSeq) yield part([incarnation, { seq, net, resetSeq: 0, resetNet: 0n }]);
  }
  yield* decomposeClaims(state);
  if (parts === undefined) return;
  for (const entry of parts.byPartition) {
    yield part(undefined, { ...parts, byPartition: new Map([entry]) });
  }
}

/** For canonical forms: entries by incarnation. */
export function sortedEntries(state: CounterState): [Incarnation, CounterEntry][] {
  return [...state.entries].sort((a, b) => compareText(a[0], b[0]));
}

function kindRank(kind: CounterKind | undefined): number {
  return kind === undefined ? 0 : kind === 'g' ? 1 : 2;
}

function toSafe(value: bigint): number {
  if (value > COUNTER_MAX || value < -COUNTER_MAX) throw overflow();
  return Number(value);
}

function overflow(): MemplaneError {
  return new MemplaneError('counter_overflow', 'A counter stays within ± (2^53 − 1).');
}
