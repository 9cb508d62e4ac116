import { encode } from 'cborg';
import { type DecodeLimits, expectSameBytes, openBounded } from './bounded-cbor.ts';
import { encodeRegister } from './codec.ts';
import { encodeClaimedCounter } from './counter-codec.ts';
import * as form from './forms.ts';
import * as lattices from './lattices.ts';
import { namedForm, namedOf, recordOf } from './named-values.ts';
import { decodePatch, encodePatch } from './piece-codec.ts';
import { decodeFlag, encodeFlag } from './quorum-flag-codec.ts';
import { type ReplicaDelta, type SetDelta, setDeltaLattice } from './replica-delta.ts';
import * as strict from './strict-codec.ts';
import { checkContext } from './well-formed.ts';

/** 16 had operation ids that did not say where they were counted. */
const REPLICA_DELTA = 22;

/** Canonical: one delta has one encoding. */
export function encodeReplicaDelta(delta: ReplicaDelta): Uint8Array {
  return encode([
    form.CRDT_FORMAT_VERSION,
    REPLICA_DELTA,
    namedForm(delta.counters, lattices.counterLattice, encodeClaimedCounter),
    namedForm(delta.sets, setDeltaLattice, setDeltaForm),
    namedForm(delta.registers, lattices.registerLattice, encodeRegister),
    namedForm(delta.flags, lattices.flagLattice, encodeFlag),
  ]);
}

/** @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep` */
export function decodeReplicaDelta(bytes: Uint8Array, limits?: DecodeLimits): ReplicaDelta {
  const [counters, sets, registers, flags] = openBounded(bytes, REPLICA_DELTA, limits);
  const delta: ReplicaDelta = {
    ...plainPartsOf([], sets, registers, flags, limits),
    counters: namedOf(counters, (it) => strict.decodeClaimedCounterStrictly(recordOf(it), limits)),
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
