import { encode } from 'cborg';
import { type DecodeLimits, expectSameBytes, openBounded } from './bounded-cbor.ts';
import { encodeRegister } from './codec.ts';
import { encodeClaimedCounter } from './counter-codec.ts';
import * as form from './forms.ts';
import * as lattices from './lattices.ts';
import { namedForm, namedOf, recordOf } from './named-values.ts';
import { decodeMap, encodeMap } from './or-map-codec.ts';
import { decodePatch, encodePatch } from './piece-codec.ts';
import { decodeFlag, encodeFlag } from './quorum-flag-codec.ts';
import { type ReplicaDelta, type SetDelta, setDeltaLattice } from './replica-delta.ts';
import * as strict from './strict-codec.ts';
import { checkContext } from './well-formed.ts';

/** 16 had operation ids that did not say where they were counted. */
const REPLICA_DELTA = 22;
/** The same with maps behind: one without any stays what replicas of before read. */
const REPLICA_DELTA_WITH_MAPS = 23;
/** Behind the length and the format version. */
const TYPE_AT = 2;

/** Canonical: one delta has one encoding. */
export function encodeReplicaDelta(delta: ReplicaDelta): Uint8Array {
  const maps = namedForm(delta.maps, lattices.mapLattice, encodeMap);
  return encode([
    form.CRDT_FORMAT_VERSION,
    maps.length === 0 ? REPLICA_DELTA : REPLICA_DELTA_WITH_MAPS,
    namedForm(delta.counters, lattices.counterLattice, encodeClaimedCounter),
    namedForm(delta.sets, setDeltaLattice, setDeltaForm),
    namedForm(delta.registers, lattices.registerLattice, encodeRegister),
    namedForm(delta.flags, lattices.flagLattice, encodeFlag),
    ...(maps.length === 0 ? [] : [maps]),
  ]);
}

/** @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep` */
export function decodeReplicaDelta(bytes: Uint8Array, limits?: DecodeLimits): ReplicaDelta {
  const hasMaps = bytes[TYPE_AT] === REPLICA_DELTA_WITH_MAPS;
  const type = hasMaps ? REPLICA_DELTA_WITH_MAPS : REPLICA_DELTA;
  const [counters, sets, registers, flags, maps] = openBounded(bytes, type, limits);
  const delta: ReplicaDelta = {
    ...plainPartsOf([], sets, registers, flags, limits),
    counters: namedOf(counters, (it) => strict.decodeClaimedCounterStrictly(recordOf(it), limits)),
    maps: namedOf(hasMaps ? maps : [], (it) => decodeMap(recordOf(it), limits)),
  };
  expectSameBytes(bytes, encodeReplicaDelta(delta));
  return delta;
}

/** What is in a delta whose counters have their operation ids elsewhere, if any.
 * @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep` */
export function plainPartsOf(
  counters: unknown,
  sets: unknown,
  registers: unknown,
  flags: unknown,
  limits: DecodeLimits | undefined,
): ReplicaDelta {
  return {
    counters: namedOf(counters, (it) => strict.decodeCounterStrictly(recordOf(it), limits)),
    sets: namedOf(sets, (it) => setDeltaOf(it, limits)),
    registers: namedOf(registers, (it) => strict.decodeRegisterStrictly(recordOf(it), limits)),
    flags: namedOf(flags, (it) => decodeFlag(recordOf(it), limits)),
    maps: new Map(),
  };
}

function setDeltaForm({ patch, cleared }: SetDelta): unknown {
  return [encodePatch(patch), form.contextForm(cleared)];
}

function setDeltaOf(value: unknown, limits: DecodeLimits | undefined): SetDelta {
  const [patchForm, clearedForm] = form.list(value);
  const cleared = form.contextOfForm(clearedForm);
  checkContext(cleared);
  return { patch: decodePatch(recordOf(patchForm), limits), cleared };
}
