import { byName, product } from './combinators.ts';
import {
  type CausalContext,
  cloneContext,
  contextOf,
  dotsOf,
  joinContextInto,
  subtractContext,
} from './context.ts';
import type { CounterState } from './counter.ts';
import type { Incarnation } from './dot.ts';
import type { Lattice } from './lattice.ts';
import * as lattices from './lattices.ts';
import type { RegisterState } from './lww-register.ts';
import type { OrMapState } from './or-map.ts';
import type { FlagState } from './quorum-flag.ts';
import { patchLattice, type SetPatch } from './set-patch.ts';

/** What changed in an OR-Set, such that joining it in costs what it touches, but for resets. */
export interface SetDelta {
  readonly patch: SetPatch;
  /** The dots that a reset has seen: whatever stands on one of them is gone. */
  readonly cleared: CausalContext;
}

/** What one or more commits changed, by `tenant/name`. */
export interface ReplicaDelta {
  /** With the operation ids that were used on them. */
  readonly counters: Map<string, CounterState>;
  readonly sets: Map<string, SetDelta>;
  readonly registers: Map<string, RegisterState>;
  readonly flags: Map<string, FlagState>;
  readonly maps: Map<string, OrMapState>;
}

/** Commits of one incarnation: those numbered `after + 1` to `upTo`. */
export interface CommitRange {
  readonly incarnation: Incarnation;
  readonly after: number;
  readonly upTo: number;
}

const contextLattice: Lattice<CausalContext> = {
  name: 'context',
  bottom: () => new Map(),
  clone: cloneContext,
  joinInto: joinContextInto,
  isBottom: (context) => context.size === 0,
  *decompose(context) {
    for (const dot of dotsOf(context)) yield contextOf([dot]);
  },
  difference: subtractContext,
};

export const setDeltaLattice: Lattice<SetDelta> = product<SetDelta>('set-delta', {
  patch: patchLattice,
  cleared: contextLattice,
});

export const replicaDeltaLattice: Lattice<ReplicaDelta> = product<ReplicaDelta>('replica-delta', {
  counters: byName(lattices.counterLattice),
  sets: byName(setDeltaLattice),
  registers: byName(lattices.registerLattice),
  flags: byName(lattices.flagLattice),
  maps: byName(lattices.mapLattice),
});
