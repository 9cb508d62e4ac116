import { encode } from 'cborg';
import { type DecodeLimits, expectSameBytes, openBounded } from './bounded-cbor.ts';
import { addDigests, encodeCounter, encodeRegister, encodeSet, recordDigest } from './codec.ts';
import { byName, product } from './combinators.ts';
import type { CounterState } from './counter.ts';
import { compareText } from './dot.ts';
import { CRDT_FORMAT_VERSION, damaged, list, text } from './forms.ts';
import type { Lattice } from './lattice.ts';
import * as lattices from './lattices.ts';
import type { RegisterState } from './lww-register.ts';
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
/** Of a name with its tenant, in UTF-16 code units. */
export const NAME_UNITS_MAX = 512;

/** Each value as its own encoding, in canonical order of types and names. */
export function encodeKeyed(state: KeyedState): Uint8Array {
  return encode([
    CRDT_FORMAT_VERSION,
    KEYED,
    recordsForm(state.counters, encodeCounter, lattices.counterLattice),
    recordsForm(state.sets, encodeSet, lattices.setLattice),
    recordsForm(state.registers, encodeRegister, lattices.registerLattice),
    recordsForm(state.maps, encodeMap, lattices.mapLattice),
    recordsForm(state.flags, encodeFlag, lattices.flagLattice),
  ]);
}

/** @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep` */
export function decodeKeyed(bytes: Uint8Array, limits?: DecodeLimits): KeyedState {
  const [counters, sets, registers, maps, flags] = openBounded(bytes, KEYED, limits);
  const state: KeyedState = {
    counters: recordsOf(counters, (record) => strict.decodeCounterStrictly(record, limits)),
    sets: recordsOf(sets, (record) => strict.decodeSetStrictly(record, limits)),
    registers: recordsOf(registers, (record) => strict.decodeRegisterStrictly(record, limits)),
    maps: recordsOf(maps, (record) => decodeMap(record, limits)),
    flags: recordsOf(flags, (record) => decodeFlag(record, limits)),
  };
  expectSameBytes(bytes, encodeKeyed(state));
  return state;
}

/** The sum of the digests of the values, each under its type and name. */
export function keyedDigest(state: KeyedState): bigint {
  let digest = 0n;
  for (const part of keyedLattice.isBottom(state) ? [] : singleNames(state)) {
    digest = addDigests(digest, recordDigest(encodeKeyed(part)));
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

function recordsForm<S>(
  values: ReadonlyMap<string, S>,
  toBytes: (state: S) => Uint8Array,
  lattice: Lattice<S>,
): unknown[] {
  return [...values]
    .filter(([, value]) => !lattice.isBottom(value))
    .sort((a, b) => compareText(a[0], b[0]))
    .map(([name, value]) => [name, toBytes(value)]);
}

function recordsOf<S>(form: unknown, ofBytes: (record: Uint8Array) => S): Map<string, S> {
  const values = new Map<string, S>();
  for (const entry of list(form)) {
    const [nameForm, record] = list(entry);
    const name = text(nameForm);
    if (name.length > NAME_UNITS_MAX) throw damaged('a name that is too long');
    if (!(record instanceof Uint8Array)) throw damaged('a record was expected');
    values.set(name, ofBytes(record));
  }
  return values;
}
