import { missingContext } from './causal-difference.ts';
import { byName } from './combinators.ts';
import {
  addDot,
  type CausalContext,
  cloneContext,
  containsDot,
  contextOf,
  dotsOf,
  joinContextInto,
  subtractContext,
} from './context.ts';
import { type Dot, hasDot } from './dot.ts';
import type { Lattice } from './lattice.ts';
import { joinDots } from './or-set.ts';

/** An element's part of an OR-Set: the dots on which it stands, in order, and all its dots seen. */
export interface ElementState {
  dots: readonly Dot[];
  readonly context: CausalContext;
}

/**
 * A delta of a large OR-Set that says of each dot which element it is of, of the removed ones too,
 * so it is joined into a set in pieces without a look at other elements.
 */
export type SetPatch = Map<string, ElementState>;

export const elementLattice: Lattice<ElementState> = {
  name: 'element',
  bottom: () => ({ dots: [], context: new Map() }),
  clone: ({ dots, context }) => ({ dots, context: cloneContext(context) }),
  joinInto(target, source) {
    const joined = joinDots(target.dots, target.context, source.dots, source.context);
    const changed = joined !== target.dots;
    target.dots = joined;
    return joinContextInto(target.context, source.context) || changed;
  },
  isBottom: ({ context }) => context.size === 0,
  *decompose({ dots, context }) {
    const standing: CausalContext = new Map();
    for (const dot of dots) {
      yield { dots: [dot], context: contextOf([dot]) };
      addDot(standing, dot);
    }
    for (const dot of dotsOf(subtractContext(context, standing))) {
      yield { dots: [], context: contextOf([dot]) };
    }
  },
  difference: (a, b) => elementDifference(a, b.dots, b.context),
};

export const patchLattice: Lattice<SetPatch> = byName(elementLattice);

/** What a part of an element has that is not in a set with these dots of it and this context. */
export function elementDifference(
  part: ElementState,
  dots: readonly Dot[],
  context: CausalContext,
): ElementState {
  const stands = (dot: Dot) => hasDot(part.dots, dot);
  return {
    dots: part.dots.filter((dot) => !containsDot(context, dot)),
    context: missingContext(part.context, stands, { context, standing: dots }),
  };
}
