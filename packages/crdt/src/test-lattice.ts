import * as codec from './codec.ts';
import { contextOf, dotsOf, nextDot } from './context.ts';
import * as counter from './counter.ts';
import { encodeClaimedCounter } from './counter-codec.ts';
import type { Incarnation } from './dot.ts';
import { join } from './lattice.ts';
import { flagLattice, mapLattice } from './lattices.ts';
import * as register from './lww-register.ts';
import * as map from './or-map.ts';
import { encodeMap, mapDigest } from './or-map-codec.ts';
import * as orSet from './or-set.ts';
import { encodePatch } from './piece-codec.ts';
import * as flag from './quorum-flag.ts';
import { encodeFlag, flagDigest } from './quorum-flag-codec.ts';
import { patchLattice, type SetPatch } from './set-patch.ts';

/** What the laws are checked on: one type, its mutations picked by two small numbers. */
export interface TestLattice<S> {
  readonly name: string;
  empty(): S;
  join(a: S, b: S): S;
  /** The delta of some mutation at a replica. `stamp` is higher than all before. */
  mutate(state: S, at: Incarnation, what: number, arg: number, stamp: bigint): S;
  decompose(state: S): Iterable<S>;
  encode(state: S): Uint8Array;
  digest(state: S): bigint;
}

export const counterLattice: TestLattice<counter.CounterState> = {
  name: 'counter',
  empty: counter.emptyCounter,
  join: counter.joinCounters,
  mutate(state, at, what, arg) {
    if (what === 0) return counter.resetCounter(state);
    if (what === 1) {
      const part = { epoch: arg % 2, offset: arg, value: arg * 3 };
      const byPartition = new Map([[arg % 3, part]]);
      const parts = { generation: arg % 5 === 4 ? 1 : 0, logId: `log${arg % 2}`, byPartition };
      return { ...counter.emptyCounter(), parts };
    }
    return counter.increment(state, at, BigInt(arg) - 3n, 'pn');
  },
  decompose: counter.decomposeCounter,
  encode: codec.encodeCounter,
  digest: codec.counterDigest,
};

export const setLattice: TestLattice<orSet.OrSetState> = {
  name: 'or-set',
  empty: orSet.emptySet,
  join: orSet.joinSets,
  mutate(state, at, what, arg) {
    if (what === 0) return orSet.resetSet(state);
    if (what <= 2) return orSet.removeElement(state, `e${arg % 4}`);
    return orSet.addElement(state, at, `e${arg % 4}`);
  },
  decompose: orSet.decomposeSet,
  encode: codec.encodeSet,
  digest: codec.setDigest,
};

export const registerLattice: TestLattice<register.RegisterState> = {
  name: 'lww-register',
  empty: register.emptyRegister,
  join: register.joinRegisters,
  mutate(state, at, what, arg, stamp) {
    if (what === 0) return register.resetRegister(state);
    // Half of the stamps tie or go back, as those of a replica with a slow clock do.
    const hlc = arg % 2 === 0 ? stamp : BigInt(arg);
    return register.writeRegister(state, {
      incarnation: at,
      hlc,
      replica: at.slice(-1),
      value: arg,
    });
  },
  decompose: register.decomposeRegister,
  encode: codec.encodeRegister,
  digest: codec.registerDigest,
};

/**
 * The same with operation ids, each used at any replica any number of times: `op3` by one with 3, by
 * another with 4. Stamps tie across replicas, never within one.
 */
export const claimedCounterLattice: TestLattice<counter.CounterState> = {
  ...counterLattice,
  name: 'counter with claims',
  mutate(state, at, what, arg, stamp) {
    if (what <= 1) return counterLattice.mutate(state, at, what, arg, stamp);
    const by = (arg % 4) + (what % 2);
    const delta = counter.increment(state, at, BigInt(by), 'pn');
    const seq = delta.entries.get(at)?.seq ?? 0;
    const hlc = what < 5 ? BigInt(seq) : stamp;
    const claim = { by, hlc, incarnation: at, seq, commit: seq };
    if (state.claims?.has(`op${arg % 4}`)) return delta;
    return { ...delta, claims: new Map([[`op${arg % 4}`, claim]]) };
  },
  encode: encodeClaimedCounter,
};

export const mapTestLattice: TestLattice<map.OrMapState> = {
  name: 'or-map',
  empty: map.emptyMap,
  join: (a, b) => join(mapLattice, a, b),
  mutate(state, at, what, arg, stamp) {
    const path = arg % 3 === 0 ? ['inner', 'x'] : [arg % 3 === 1 ? 'x' : 'y'];
    const types = ['counter', 'set', 'register', 'map'] as const;
    switch (what) {
      case 0:
        return map.resetMap(state);
      case 1:
        return map.removeField(state, types[arg % 4] ?? 'map', arg % 2 === 0 ? ['inner'] : path);
      case 2:
        return map.removeFromField(state, path, `e${arg % 2}`);
      case 3:
      case 4:
        return map.addToField(state, path, at, `e${arg % 2}`);
      case 5:
        return map.writeField(state, path, at, { hlc: stamp, replica: at.slice(-1), value: arg });
      default:
        return map.incrementField(state, path, at, BigInt(arg) - 3n);
    }
  },
  decompose: map.decomposeMap,
  encode: encodeMap,
  digest: mapDigest,
};

export const flagTestLattice: TestLattice<flag.FlagState> = {
  name: 'quorum-flag',
  empty: flag.emptyFlag,
  join: (a, b) => join(flagLattice, a, b),
  mutate(_state, at, what, arg) {
    if (what === 0) return flag.retireVotes((arg % 4) + 1);
    return flag.castVote((arg % 4) + 1, what === 1 ? 'guest' : at);
  },
  decompose: flag.decomposeFlag,
  encode: encodeFlag,
  digest: flagDigest,
};

export const patchTestLattice: TestLattice<SetPatch> = {
  name: 'set-patch',
  empty: patchLattice.bottom,
  join: (a, b) => join(patchLattice, a, b),
  mutate(state, at, what, arg) {
    const element = `e${arg % 4}`;
    const dots = state.get(element)?.dots ?? [];
    if (what <= 2) {
      return new Map(dots.length > 0 ? [[element, { dots: [], context: contextOf(dots) }]] : []);
    }
    const all = contextOf([...state.values()].flatMap(({ context }) => [...dotsOf(context)]));
    const dot = nextDot(all, at);
    return new Map([[element, { dots: [dot], context: contextOf([...dots, dot]) }]]);
  },
  decompose: patchLattice.decompose,
  encode: encodePatch,
  digest: (patch) => codec.recordDigest(encodePatch(patch)),
};
