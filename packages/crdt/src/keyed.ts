import { encode } from 'cborg';
import { type DecodeLimits, expectSameBytes, openBounded } from './bounded-cbor.ts';
import { addDigests, encodeRegister, encodeSet, recordDigest } from './codec.ts';
import { byName, product } from './combinators.ts';
import type { CounterState } from './counter.ts';
import { encodeClaimedCounter, encodeCounter } from './counter-codec.ts';
import { CRDT_FORMAT_VERSION } from './forms.ts';
import type { Lattice } from './lattice.ts';
import * as lattices from './lattices.ts';
import type { RegisterState } from './lww-register.ts';
import { namedForm, namedOf, recordOf } from './named-values.ts';
import type { OrMapState } from './or-map.ts';
import { decodeMap, encodeMap } from './or-map-codec.ts';
import type { OrSetState } from './or-set.ts';
import type { FlagState } from './quorum-flag.ts';
import { decodeFlag, encodeFlag } from './quorum-flag-codec.ts';
import * as strict from './strict-codec.ts';

/** Values of all types by name: what a replica holds, and what one delta group carries. */
export interface KeyedState {
  counters: Map<string, CounterState>;
  sets: Map<string, OrSetState>;
  registers: Map<string, RegisterState>;
  maps: Map<string, OrMapState>;
  flags: Map<string, FlagState>;
}

export const keyedLattice: Lattice<KeyedState> = product<KeyedState>('keyed', {
  counters: byName(lattices.counterLattice),
  sets: byName(lattices.setLattice),
  registers: byName(lattices.registerLattice),
  maps: byName(lattices.mapLattice),
  flags: byName(lattices.flagLattice),
});

const KEYED = 9;

/** Each value as its own encoding, in canonical order of types and names. */
export function encodeKeyed(state: KeyedState): Uint8Array {
  return encodeWith(encodeClaimedCounter, state);
}

function encodeWith(
  counterBytes: (counter: CounterState) => Uint8Array,
  state: KeyedState,
): Uint8Array {
  return encode([
    CRDT_FORMAT_VERSION,
    KEYED,
    namedForm(state.counters, lattices.counterLattice, counterBytes),
    namedForm(state.sets, lattices.setLattice, encodeSet),
    namedForm(state.registers, lattices.registerLattice, encodeRegister),
    namedForm(state.maps, lattices.mapLattice, encodeMap),
    namedForm(state.flags, lattices.flagLattice, encodeFlag),
  ]);
}

/** @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep` */
export function decodeKeyed(bytes: Uint8Array, limits?: DecodeLimits): KeyedState {
  const [counters, sets, registers, maps, flags] = openBounded(bytes, KEYED, limits);
  const state: KeyedState = {
    counters: namedOf(counters, (it) => strict.decodeClaimedCounterStrictly(recordOf(it), limits)),
    sets: namedOf(sets, (it) => strict.decodeSetStrictly(recordOf(it), limits)),
    registers: namedOf(registers, (it) => strict.decodeRegisterStrictly(recordOf(it), limits)),
    maps: namedOf(maps, (it) => decodeMap(recordOf(it), limits)),
    flags: namedOf(flags, (it) => decodeFlag(recordOf(it), limits)),
  };
  expectSameBytes(bytes, encodeKeyed(state));
  return state;
}

/** The sum of the digests of the values, each under its type and name; claims are in none. */
export function keyedDigest(state: KeyedState): bigint {
  let digest = 0n;
  for (const part of keyedLattice.isBottom(state) ? [] : singleNames(state)) {
    digest = addDigests(digest, recordDigest(encodeWith(encodeCounter, part)));
  }
  return digest;
}

function* singleNames(state: KeyedState): Generator<KeyedState> {
  for (const type of Object.keys(state) as (keyof KeyedState)[]) {
    for (const [name, value] of state[type]) {
      yield { ...keyedLattice.bottom(), [type]: new Map([[name, value]]) };
    }
  }
}
