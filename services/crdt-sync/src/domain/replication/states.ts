import {
  type DecodeLimits,
  decodeKeptReplicaDelta,
  decodeReplicaDelta,
  deltaOfSet,
  encodeReplicaDelta,
  type ReplicaDelta,
  replicaDeltaLattice,
} from '@memplane/crdt';
import { deltaKeyOf } from '../delta-key.ts';
import type { CrdtStore, NamedState, Ref } from '../port.ts';

/** Whole states are larger than deltas: a set may have all the elements that it may have. */
const STATE_LIMITS: DecodeLimits = {
  bytes_max: 256 * 1024 * 1024,
  depth_max: 64,
  items_max: 50_000_000,
};

/** All that a name holds, as a delta that brings anyone up to it. */
export function addState(delta: ReplicaDelta, ref: Ref, state: NamedState): void {
  const key = deltaKeyOf(ref);
  const { counter, set, register, flag, map } = state;
  if (counter !== undefined) delta.counters.set(key, counter);
  if (set !== undefined) delta.sets.set(key, deltaOfSet(set));
  if (register !== undefined) delta.registers.set(key, register);
  if (flag !== undefined) delta.flags.set(key, flag);
  if (map !== undefined) delta.maps.set(key, map);
}

export async function stateAsDelta(store: CrdtStore, ref: Ref): Promise<ReplicaDelta> {
  const delta = replicaDeltaLattice.bottom();
  addState(delta, ref, await store.state(ref));
  return delta;
}

export function encodeStates(delta: ReplicaDelta): Uint8Array {
  return encodeReplicaDelta(delta);
}

/** @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep` */
export function decodeStates(bytes: Uint8Array): ReplicaDelta {
  return decodeReplicaDelta(bytes, STATE_LIMITS);
}

/** The same of a backup, which the version before may have made.
 * @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep` */
export function decodeKeptStates(bytes: Uint8Array): ReplicaDelta {
  return decodeKeptReplicaDelta(bytes, STATE_LIMITS);
}
