import { missingContext } from './causal-difference.ts';
import { claimsDifference } from './contested.ts';
import { containsDot } from './context.ts';
import type { CounterEntry, CounterState } from './counter.ts';
import { compareText, type Dot, hasDot, type Incarnation } from './dot.ts';
import { compareParts, type LogParts } from './log-parts.ts';
import type { OrSetState } from './or-set.ts';
import { hasSeen, type RegisterState, registerOf } from './register-state.ts';

/**
 * Δ(a, b): the entries' halves, the kind, the parts and the claims in which `a` is ahead. O(|a|).
 * With claims, counters are no distributive lattice: two claims of one id together say that it
 * is contested.
 */
export function counterDifference(a: CounterState, b: CounterState): CounterState {
  const entries = new Map<Incarnation, CounterEntry>();
  for (const [incarnation, mine] of a.entries) {
    const rest = entryDifference(mine, b.entries.get(incarnation));
    if (rest !== undefined) entries.set(incarnation, rest);
  }
  const isKindNews = a.kind !== undefined && b.kind !== 'pn' && a.kind !== b.kind;
  return {
    kind: isKindNews ? a.kind : undefined,
    entries,
    parts: a.parts && partsDifference(a.parts, b.parts),
    ...claimsDifference(a, b),
  };
}

function entryDifference(
  mine: CounterEntry,
  theirs: CounterEntry | undefined,
): CounterEntry | undefined {
  const { seq, net, resetSeq, resetNet } = mine;
  const isReset = resetSeq > (theirs?.resetSeq ?? 0);
  // A reset brings the increments that it has seen with it.
  const known = Math.max(theirs?.seq ?? 0, isReset ? resetSeq : 0);
  const isAhead = seq > known;
  if (!isReset) return isAhead ? { seq, net, resetSeq: 0, resetNet: 0n } : undefined;
  return isAhead ? mine : { seq: resetSeq, net: resetNet, resetSeq, resetNet };
}

function partsDifference(mine: LogParts, theirs: LogParts | undefined): LogParts | undefined {
  if (theirs === undefined) return mine;
  const order = mine.generation - theirs.generation || compareText(mine.logId, theirs.logId);
  if (order !== 0) return order > 0 ? mine : undefined;
  const ahead = [...mine.byPartition].filter(([partition, part]) => {
    const known = theirs.byPartition.get(partition);
    return known === undefined || compareParts(part, known) > 0;
  });
  return ahead.length === 0 ? undefined : { ...mine, byPartition: new Map(ahead) };
}

/** Δ(a, b). O(elements of both), whatever the number of dots that both have seen. */
export function setDifference(a: OrSetState, b: OrSetState): OrSetState {
  const elements = new Map<string, readonly Dot[]>();
  for (const [element, dots] of a.elements) {
    const fresh = dots.filter((dot) => !containsDot(b.context, dot));
    if (fresh.length > 0) elements.set(element, fresh);
  }
  const removed: Dot[] = [];
  for (const [element, dots] of b.elements) {
    const mine = a.elements.get(element) ?? [];
    for (const dot of dots) if (!hasDot(mine, dot)) removed.push(dot);
  }
  const context = missingContext(a.context, () => false, { context: b.context, standing: removed });
  return { elements, context };
}

/** Δ(a, b). */
export function registerDifference(a: RegisterState, b: RegisterState): RegisterState {
  const mine = a.versions.map((version) => version.dot);
  const stands = (dot: Dot) => hasDot(mine, dot);
  const standing = b.versions.map((version) => version.dot);
  const missing = missingContext(a.context, stands, { context: b.context, standing });
  return registerOf(
    a.versions.filter(({ dot }) => !hasSeen(b, dot)),
    missing,
  );
}
