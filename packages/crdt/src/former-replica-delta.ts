import { type DecodeLimits, openBounded } from './bounded-cbor.ts';
import { big, damaged, int, list, text } from './forms.ts';
import { namedOf } from './named-values.ts';
import { type Claim, OP_ID_UNITS_MAX, UNPLACED } from './op-claims.ts';
import type { ReplicaDelta } from './replica-delta.ts';
import { decodeReplicaDelta, plainPartsOf } from './replica-delta-codec.ts';

/** Its operation ids did not say where they were counted, and stood beside the counters. */
const FORMER_REPLICA_DELTA = 16;
/** Behind the length and the format version. */
const TYPE_AT = 2;

/**
 * Reads what a backup may hold: a delta of today, or one of before. From another replica only the
 * former is taken: there, ids without a place could be counted twice.
 * @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep`
 */
export function decodeKeptReplicaDelta(bytes: Uint8Array, limits?: DecodeLimits): ReplicaDelta {
  if (bytes[TYPE_AT] !== FORMER_REPLICA_DELTA) return decodeReplicaDelta(bytes, limits);
  const [counters, sets, registers, flags, ops] = openBounded(bytes, FORMER_REPLICA_DELTA, limits);
  const delta = plainPartsOf(counters, sets, registers, flags, limits);
  for (const [name, claims] of namedOf(ops, claimsOf)) {
    const counter = delta.counters.get(name);
    if (counter !== undefined) delta.counters.set(name, { ...counter, claims });
  }
  return delta;
}

function claimsOf(value: unknown): Map<string, Claim> {
  const claims = new Map<string, Claim>();
  for (const entry of list(value)) {
    const [opIdForm, byForm, hlcForm] = list(entry);
    const opId = text(opIdForm);
    const claim = { by: int(byForm), hlc: big(hlcForm), ...UNPLACED };
    if (opId === '' || opId.length > OP_ID_UNITS_MAX || claim.hlc < 0n) {
      throw damaged('an operation id');
    }
    claims.set(opId, claim);
  }
  return claims;
}
