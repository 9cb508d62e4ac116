import {
  type Claim,
  contextOf,
  decodeContext,
  decodeCounter,
  decodeElement,
  decodeFlag,
  decodeMap,
  decodeRegister,
  emptyCounter,
  type ReplicaDelta,
  replicaDeltaLattice,
  type SetPatch,
} from '@memplane/crdt';
import { deltaKeyOf } from '../../domain/delta-key.ts';
import type { LocalCommit } from '../../domain/local-commit.ts';
import type { CallNames } from './call-codec.ts';
import type { Reply } from './connection.ts';
import { readClaim, readStamp } from './redis-records.ts';
import { bytes, list, pairs } from './replies.ts';

/** What `execute` says of its commit; the delta has nothing in it where none was asked for. */
export function readCommit(reply: Reply, incarnation: string, names: CallNames): LocalCommit {
  const [number, stamp, changed] = list(reply);
  const delta = replicaDeltaLattice.bottom();
  for (const change of list(changed)) addChange(delta, list(change), names);
  return { incarnation, number: Number(number), hlc: readStamp(bytes(stamp).toString()), delta };
}

/** As `lua/6-deltas.lua` gives it. */
function addChange(delta: ReplicaDelta, change: readonly Reply[], names: CallNames): void {
  const [place, counter, register, cleared, patch, ops, flag, map] = change;
  const key = deltaKeyOf(names.at(Number(place)));
  if (counter) delta.counters.set(key, decodeCounter(bytes(counter)));
  if (register) delta.registers.set(key, decodeRegister(bytes(register)));
  if (flag) delta.flags.set(key, decodeFlag(bytes(flag)));
  if (map) delta.maps.set(key, decodeMap(bytes(map)));
  const records = pairs(list(patch));
  if (cleared || records.length > 0) {
    const seen = cleared ? decodeContext(bytes(cleared)) : new Map();
    delta.sets.set(key, { patch: patchOf(records), cleared: seen });
  }
  const used = pairs(list(ops));
  if (used.length === 0) return;
  const claims = new Map<string, Claim>();
  for (const [opId, record] of used) claims.set(opId.toString(), readClaim(record));
  const own = delta.counters.get(key) ?? emptyCounter();
  delta.counters.set(key, { ...own, claims });
}

function patchOf(records: readonly (readonly [Buffer, Buffer])[]): SetPatch {
  const patch: SetPatch = new Map();
  for (const [standing, seen] of records) {
    const { element, dots } = decodeElement(standing);
    patch.set(element, { dots, context: contextOf(decodeElement(seen).dots) });
  }
  return patch;
}
