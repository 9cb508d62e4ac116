import {
  addDot,
  type CausalContext,
  cloneContext,
  containsDot,
  contextOf,
  dotsOf,
  joinContextInto,
  nextDot,
  type ReadonlyContext,
  subtractContext,
} from './context.ts';
import { compareDots, compareText, type Dot, hasDot, type Incarnation } from './dot.ts';

/**
 * An observed-remove set in which adds win, without tombstones: an element is in the set while one
 * of its dots stands. A dot that the context knows and no element has was removed, and stays so
 * however late its add comes back. (Bieniusa et al., "An optimized conflict-free replicated set",
 * 2012; Almeida, Shoker, Baquero, "Delta state replicated data types", 2018.)
 */
export interface OrSetState {
  /** Dots in canonical order, at least one each. */
  readonly elements: Map<string, readonly Dot[]>;
  readonly context: CausalContext;
}

export function emptySet(): OrSetState {
  return { elements: new Map(), context: new Map() };
}

export function cloneSet(state: OrSetState): OrSetState {
  return { elements: new Map(state.elements), context: cloneContext(state.context) };
}

/** The delta of an add: a new dot, in place of those of the element that were seen. */
export function addElement(
  state: OrSetState,
  incarnation: Incarnation,
  element: string,
): OrSetState {
  const dot = nextDot(state.context, incarnation);
  const context = contextOf(state.elements.get(element) ?? []);
  joinContextInto(context, contextOf([dot]));
  return { elements: new Map([[element, [dot]]]), context };
}

/** The delta of a removal: the dots that were seen; empty when the element is not there. */
export function removeElement(state: OrSetState, element: string): OrSetState {
  return { elements: new Map(), context: contextOf(state.elements.get(element) ?? []) };
}

/** The delta of a reset: the dots of all elements that were seen. */
export function resetSet(state: OrSetState): OrSetState {
  return { elements: new Map(), context: contextOf([...state.elements.values()].flat()) };
}

/** Joins `source` into `target` in place. Returns whether `target` grew. */
export function joinSetInto(target: OrSetState, source: OrSetState): boolean {
  const { elements, context } = target;
  const before = elements.size;
  let grew = false;
  let shared = 0;
  for (const [element, theirs] of source.elements) {
    const mine = elements.get(element);
    if (mine !== undefined) shared++;
    const joined = joinDots(mine ?? NO_DOTS, context, theirs, source.context);
    if (joined === mine || joined.length === 0) {
      if (joined === mine || mine === undefined) continue;
      elements.delete(element);
    } else elements.set(element, joined);
    grew = true;
  }
  if (shared < before && dropRemoved(elements, source)) grew = true;
  return joinContextInto(context, source.context) || grew;
}

/** Takes away from elements that `source` does not have the dots that it has seen. */
function dropRemoved(elements: Map<string, readonly Dot[]>, source: OrSetState): boolean {
  let grew = false;
  for (const [element, mine] of elements) {
    if (source.elements.has(element)) continue;
    const kept = joinDots(mine, NO_CONTEXT, NO_DOTS, source.context);
    if (kept === mine) continue;
    grew = true;
    if (kept.length > 0) elements.set(element, kept);
    else elements.delete(element);
  }
  return grew;
}

/**
 * The dots on which an element stands after a join: those that stand on both sides, and those that
 * the other side has never seen. `mine` itself when nothing changes.
 */
export function joinDots(
  mine: readonly Dot[],
  context: ReadonlyContext,
  theirs: readonly Dot[],
  theirContext: ReadonlyContext,
): readonly Dot[] {
  if (!hasLost(mine, theirs, theirContext) && !hasFresh(theirs, context)) return mine;
  const kept = mine.filter((dot) => hasDot(theirs, dot) || !containsDot(theirContext, dot));
  const fresh = theirs.filter((dot) => !containsDot(context, dot));
  return kept.length === 0 ? fresh : [...kept, ...fresh].sort(compareDots);
}

function hasLost(
  mine: readonly Dot[],
  theirs: readonly Dot[],
  theirContext: ReadonlyContext,
): boolean {
  for (const dot of mine) {
    if (!hasDot(theirs, dot) && containsDot(theirContext, dot)) return true;
  }
  return false;
}

function hasFresh(theirs: readonly Dot[], context: ReadonlyContext): boolean {
  for (const dot of theirs) if (!containsDot(context, dot)) return true;
  return false;
}

const NO_DOTS: readonly Dot[] = [];
const NO_CONTEXT: ReadonlyContext = new Map();

export function joinSets(a: OrSetState, b: OrSetState): OrSetState {
  const joined = cloneSet(a);
  joinSetInto(joined, b);
  return joined;
}

/** The irredundant join decomposition: one part a dot, with its element where it stands. */
export function* decomposeSet(state: OrSetState): Generator<OrSetState> {
  const standing: CausalContext = new Map();
  for (const [element, dots] of state.elements) {
    for (const dot of dots) {
      yield { elements: new Map([[element, [dot]]]), context: contextOf([dot]) };
      addDot(standing, dot);
    }
  }
  for (const dot of dotsOf(subtractContext(state.context, standing))) {
    yield { elements: new Map(), context: contextOf([dot]) };
  }
}

/** For canonical forms: elements by code units. */
export function sortedElements(state: OrSetState): [string, readonly Dot[]][] {
  return [...state.elements].sort((a, b) => compareText(a[0], b[0]));
}
