import {
  addDot,
  type CausalContext,
  containsDot,
  joinContextInto,
  type ReadonlyContext,
  subtractContext,
} from './context.ts';
import type { Dot } from './dot.ts';

/** What of a causal state matters for a difference: its context, and the dots that stand. */
export interface CausalView {
  readonly context: ReadonlyContext;
  readonly standing: Iterable<Dot>;
}

/**
 * The context of Δ(a, b) for causal states. A dot of `a` is missing in `b` when `b` has never seen
 * it, and also when it stands in `b` though `a` has seen it removed. The first kind is found by
 * subtracting intervals, so the cost does not grow with the number of dots that both have seen.
 */
export function missingContext(
  a: ReadonlyContext,
  standsInA: (dot: Dot) => boolean,
  b: CausalView,
): CausalContext {
  const missing = subtractContext(a, b.context);
  const removed: CausalContext = new Map();
  for (const dot of b.standing) {
    if (containsDot(a, dot) && !standsInA(dot)) addDot(removed, dot);
  }
  joinContextInto(missing, removed);
  return missing;
}

/** A text for each dot, to look it up in a `Set`. */
export function dotKey(dot: Dot): string {
  return `${dot.incarnation}${dot.seq}`;
}

export function dotKeys(dots: Iterable<Dot>): Set<string> {
  const keys = new Set<string>();
  for (const dot of dots) keys.add(dotKey(dot));
  return keys;
}
