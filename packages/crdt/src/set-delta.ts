import {
  type CausalContext,
  containsDot,
  contextOf,
  joinContextInto,
  subtractContext,
  uniteContexts,
} from './context.ts';
import type { Dot } from './dot.ts';
import { joinDots, type OrSetState } from './or-set.ts';
import type { SetDelta } from './replica-delta.ts';
import type { SetPatch } from './set-patch.ts';

/** All dots that a delta has seen. */
export function contextOfDelta({ patch, cleared }: SetDelta): CausalContext {
  return uniteContexts([...[...patch.values()].map(({ context }) => context), cleared]);
}

/** The same delta as a state, which does not say from where something was removed. */
export function setOfDelta(delta: SetDelta): OrSetState {
  const elements = new Map<string, readonly Dot[]>();
  for (const [element, { dots }] of delta.patch) {
    const standing = dots.filter((dot) => !containsDot(delta.cleared, dot));
    if (standing.length > 0) elements.set(element, standing);
  }
  return { elements, context: contextOfDelta(delta) };
}

/** A whole state as a delta: what it has seen and not kept is cleared. O(elements). */
export function deltaOfSet({ elements, context }: OrSetState): SetDelta {
  const patch: SetPatch = new Map();
  for (const [element, dots] of elements) patch.set(element, { dots, context: contextOf(dots) });
  const standing = uniteContexts([...patch.values()].map((part) => part.context));
  return { patch, cleared: subtractContext(context, standing) };
}

/**
 * Joins a patch into a set in one piece, in place: as `joinSetInto` would join the same delta as a
 * state, without a look at the elements that the patch does not name. O(patch).
 * @returns whether the set grew
 */
export function joinPatchIntoSet(set: OrSetState, patch: SetPatch): boolean {
  let grew = false;
  for (const [element, theirs] of patch) {
    const mine = set.elements.get(element) ?? NO_DOTS;
    const joined = joinDots(mine, set.context, theirs.dots, theirs.context);
    if (joined === mine) continue;
    grew = true;
    if (joined.length > 0) set.elements.set(element, joined);
    else set.elements.delete(element);
  }
  // Only now: a dot belongs to one element, and none of those above may count as seen before.
  for (const { context } of patch.values()) {
    if (joinContextInto(set.context, context)) grew = true;
  }
  return grew;
}

const NO_DOTS: readonly Dot[] = [];
