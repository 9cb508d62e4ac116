import * as counter from './counter.ts';
import * as difference from './differences.ts';
import type { Lattice } from './lattice.ts';
import * as register from './lww-register.ts';
import * as map from './or-map.ts';
import * as orSet from './or-set.ts';
import * as flag from './quorum-flag.ts';

/** The {@link Lattice} of each type. */
export const counterLattice: Lattice<counter.CounterState> = {
  name: 'counter',
  bottom: counter.emptyCounter,
  clone: counter.cloneCounter,
  joinInto: counter.joinCounterInto,
  isBottom: ({ kind, entries, parts, contested, claims }) =>
    kind === undefined &&
    entries.size === 0 &&
    parts === undefined &&
    contested === undefined &&
    (claims === undefined || claims.size === 0),
  decompose: counter.decomposeCounter,
  difference: difference.counterDifference,
};

export const setLattice: Lattice<orSet.OrSetState> = {
  name: 'or-set',
  bottom: orSet.emptySet,
  clone: orSet.cloneSet,
  joinInto: orSet.joinSetInto,
  isBottom: ({ context }) => context.size === 0,
  decompose: orSet.decomposeSet,
  difference: difference.setDifference,
};

export const registerLattice: Lattice<register.RegisterState> = {
  name: 'lww-register',
  bottom: register.emptyRegister,
  clone: register.cloneRegister,
  joinInto: register.joinRegisterInto,
  isBottom: (state) => state.isEmpty,
  decompose: register.decomposeRegister,
  difference: difference.registerDifference,
};

export const mapLattice: Lattice<map.OrMapState> = {
  name: 'or-map',
  bottom: map.emptyMap,
  clone: map.cloneMap,
  joinInto: map.joinMapInto,
  isBottom: ({ context }) => context.size === 0,
  decompose: map.decomposeMap,
  difference: map.mapDifference,
};

export const flagLattice: Lattice<flag.FlagState> = {
  name: 'quorum-flag',
  bottom: flag.emptyFlag,
  clone: flag.cloneFlag,
  joinInto: flag.joinFlagInto,
  isBottom: ({ floor, votes }) => floor === 0 && votes.size === 0,
  decompose: flag.decomposeFlag,
  difference: flag.flagDifference,
};
