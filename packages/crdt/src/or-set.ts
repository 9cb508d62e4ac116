import {
  addDot,
  type CausalContext,
  cloneContext,
  containsDot,
  contextOf,
  dotsOf,
  joinContextInto,
  nextDot,
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
  let grew = false;
  for (const [element, mine] of target.elements) {
    const theirs = source.elements.get(element) ?? [];
    const kept = mine.filter((dot) => hasDot(theirs, dot) || !containsDot(source.context, dot));
    if (kept.length === mine.length) continue;
    grew = true;
    if (kept.length > 0) target.elements.set(element, kept);
    else target.elements.delete(element);
  }
  for (const [element, theirs] of source.elements) {
    const fresh = theirs.filter((dot) => !containsDot(target.context, dot));
    if (fresh.length === 0) continue;
    const mine = target.elements.get(element) ?? [];
    target.elements.set(element, [...mine, ...fresh].sort(compareDots));
  }
  return joinContextInto(target.context, source.context) || grew;
}

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
