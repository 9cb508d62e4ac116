import { encode } from 'cborg';
import { type DecodeLimits, expectSameBytes, openBounded } from './bounded-cbor.ts';
import { encodeCounter, encodeRegister } from './codec.ts';
import { compareText } from './dot.ts';
import * as form from './forms.ts';
import { NAME_UNITS_MAX } from './keyed.ts';
import type { Lattice } from './lattice.ts';
import * as lattices from './lattices.ts';
import { type OpMemory, type OpRecord, sortedRecords } from './op-memory.ts';
import { decodePatch, encodePatch } from './piece-codec.ts';
import { decodeFlag, encodeFlag } from './quorum-flag-codec.ts';
import {
  DELTA_OPS_MAX,
  type ReplicaDelta,
  type SetDelta,
  setDeltaLattice,
} from './replica-delta.ts';
import * as strict from './strict-codec.ts';
import { checkContext } from './well-formed.ts';

const REPLICA_DELTA = 16;
const OP_ID_UNITS_MAX = 128;

/** Canonical: one delta has one encoding. */
export function encodeReplicaDelta(delta: ReplicaDelta): Uint8Array {
  const opLattice = lattices.opMemoryLattice(DELTA_OPS_MAX);
  return encode([
    form.CRDT_FORMAT_VERSION,
    REPLICA_DELTA,
    namedForm(delta.counters, lattices.counterLattice, encodeCounter),
    namedForm(delta.sets, setDeltaLattice, setDeltaForm),
    namedForm(delta.registers, lattices.registerLattice, encodeRegister),
    namedForm(delta.flags, lattices.flagLattice, encodeFlag),
    namedForm(delta.ops, opLattice, opsForm),
  ]);
}

/** @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep` */
export function decodeReplicaDelta(bytes: Uint8Array, limits?: DecodeLimits): ReplicaDelta {
  const [counters, sets, registers, flags, ops] = openBounded(bytes, REPLICA_DELTA, limits);
  const delta: ReplicaDelta = {
    counters: namedOf(counters, (it) => strict.decodeCounterStrictly(record(it), limits)),
    sets: namedOf(sets, (it) => setDeltaOf(it, limits)),
    registers: namedOf(registers, (it) => strict.decodeRegisterStrictly(record(it), limits)),
    flags: namedOf(flags, (it) => decodeFlag(record(it), limits)),
    ops: namedOf(ops, opsOf),
  };
  expectSameBytes(bytes, encodeReplicaDelta(delta));
  return delta;
}

function setDeltaForm({ patch, cleared }: SetDelta): unknown {
  return [encodePatch(patch), form.contextForm(cleared)];
}

function setDeltaOf(value: unknown, limits: DecodeLimits | undefined): SetDelta {
  const [patchForm, clearedForm] = form.list(value);
  const cleared = form.contextOfForm(clearedForm);
  checkContext(cleared);
  return { patch: decodePatch(record(patchForm), limits), cleared };
}

function opsForm(memory: OpMemory): unknown {
  return sortedRecords(memory).map(([opId, { by, hlc }]) => [opId, by, hlc]);
}

function opsOf(value: unknown): OpMemory {
  const records = new Map<string, OpRecord>();
  for (const entry of form.list(value)) {
    const [opIdForm, byForm, hlcForm] = form.list(entry);
    const opId = form.text(opIdForm);
    const used = { by: form.int(byForm), hlc: form.big(hlcForm) };
    if (opId === '' || opId.length > OP_ID_UNITS_MAX || used.hlc < 0n) {
      throw form.damaged('an operation id');
    }
    records.set(opId, used);
  }
  if (records.size > DELTA_OPS_MAX) throw form.damaged('too many operation ids');
  return { capacity: DELTA_OPS_MAX, records };
}

function namedForm<S>(
  values: ReadonlyMap<string, S>,
  lattice: Lattice<S>,
  toForm: (value: S) => unknown,
): unknown[] {
  return [...values]
    .filter(([, value]) => !lattice.isBottom(value))
    .sort((a, b) => compareText(a[0], b[0]))
    .map(([name, value]) => [name, toForm(value)]);
}

function namedOf<S>(value: unknown, ofForm: (value: unknown) => S): Map<string, S> {
  const values = new Map<string, S>();
  for (const entry of form.list(value)) {
    const [nameForm, valueForm] = form.list(entry);
    const name = form.text(nameForm);
    if (name.length > NAME_UNITS_MAX) throw form.damaged('a name that is too long');
    values.set(name, ofForm(valueForm));
  }
  return values;
}

function record(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw form.damaged('a record was expected');
}
