import { missingContext } from './causal-difference.ts';
import { containsDot } from './context.ts';
import { type CounterEntry, type CounterState, emptyCounter } from './counter.ts';
import { compareText, type Dot, hasDot, type Incarnation } from './dot.ts';
import { compareParts, type LogParts } from './log-parts.ts';
import type { RegisterState } from './lww-register.ts';
import { joinOpMemories, type OpMemory } from './op-memory.ts';
import type { OrSetState } from './or-set.ts';

/** Δ(a, b): the entries' halves, the kind and the parts in which `a` is ahead. O(|a|). */
export function counterDifference(a: CounterState, b: CounterState): CounterState {
  const entries = new Map<Incarnation, CounterEntry>();
  for (const [incarnation, mine] of a.entries) {
    const rest = entryDifference(mine, b.entries.get(incarnation));
    if (rest !== undefined) entries.set(incarnation, rest);
  }
  const isKindNews = a.kind !== undefined && b.kind !== 'pn' && a.kind !== b.kind;
  return {
    ...emptyCounter(),
    kind: isKindNews ? a.kind : undefined,
    entries,
    parts: a.parts && partsDifference(a.parts, b.parts),
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
  return {
    versions: a.versions.filter(({ dot }) => !containsDot(b.context, dot)),
    context: missingContext(a.context, stands, { context: b.context, standing }),
  };
}

/**
 * The records of `a` that find a place in the join with `b`. Bounded memories are no distributive
 * lattice, so this may be less than the join of the parts that `b` lacks one by one.
 */
export function opMemoryDifference(a: OpMemory, b: OpMemory): OpMemory {
  const joined = joinOpMemories(b, a);
  const news = [...a.records].filter(([opId, record]) => {
    const known = b.records.get(opId);
    return (
      joined.records.get(opId) === record && (known?.hlc !== record.hlc || known.by !== record.by)
    );
  });
  return { capacity: a.capacity, records: new Map(news) };
}
